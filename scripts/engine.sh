#!/usr/bin/env bash
# Sees that a Docker engine with Compose answers: root on Debian gets and starts one. Succeeds silently, or
# fails with one line that says why there is none.
#
#   scripts/engine.sh
#
# An engine that was started here runs on, at the lowest priority, until the machine or `kill
# $(cat /var/run/docker.pid)` ends it; its log is .tools/dockerd.log.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

answers() { limit 10 docker info >/dev/null 2>&1; }
composes() { docker compose version >/dev/null 2>&1 || have docker-compose; }

if answers && composes; then exit 0; fi
[ "$(uname -s) $(id -u)" = "Linux 0" ] ||
  die "no Docker engine with Compose answers, and only root on Linux may start one"
if ! have dockerd || ! composes || ! have iptables; then
  debian_install docker.io docker-compose iptables || die "docker.io and docker-compose could not be installed: see .tools/apt.log"
fi
if ! answers; then
  # A container that a test run starts must not outrun what is measured beside it.
  nice -n 19 dockerd >"$TOOLS/dockerd.log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 60); do
    if answers; then exit 0; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  kill "$pid" 2>/dev/null || true
  die "dockerd does not start here: $(tail -n 1 "$TOOLS/dockerd.log")"
fi
