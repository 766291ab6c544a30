#!/usr/bin/env bash
# The whole two-region platform of docker-compose.yml.
#
#   scripts/compose.sh base | images | build | up | down | logs DIR
#
# images: those that hold nothing of Evenkeel's own code. build: all.
#
# EVENKEEL_PREBUILT=1 puts this machine's debug binaries into the image rather than building from source.
# EVENKEEL_PROFILE=rpo1s commits without the other region. Ports: see compose/README.md.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

project=evenkeel
images=(evenkeel evenkeel-parts evenkeel-postgres evenkeel-kafka)
memory_needed=4000000000
out="$PWD/compose-out"
# Debian's engine has no buildx: the classic builder does there.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
[ -z "${EVENKEEL_PREBUILT:-}" ] || export EVENKEEL_DOCKERFILE=compose/evenkeel/Dockerfile.prebuilt

# Succeeds if there is an engine to work with; sets compose.
engine() {
  have docker || die "missing: docker. Get it with: apt-get install docker.io docker-compose (macOS: Docker Desktop)"
  limit 20 docker info >/dev/null 2>&1 ||
    die "the Docker engine does not answer: start it (systemctl start docker, or dockerd as root), or run this as a user of the group docker"
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif have docker-compose; then
    compose=(docker-compose)
  else
    die "missing: docker compose. Get it with: apt-get install docker-compose (or the plugin docker-compose-v2)"
  fi
  compose+=(--project-name "$project")
}

# Containers of the platform: all, or with `running` those alone.
containers() {
  local filter=(--filter "label=com.docker.compose.project=$project")
  [ "${1:-}" != running ] || filter+=(--filter status=running)
  docker ps --all --quiet "${filter[@]}" | wc -l | tr -d ' '
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

base() {
  if has_image debian:bookworm-slim; then return 0; fi
  if limit 120 docker pull --quiet debian:bookworm-slim >/dev/null 2>&1; then return 0; fi
  [ "$(id -u)" = 0 ] || die "debian:bookworm-slim cannot be pulled, and debootstrap makes it only for root: sudo make compose-base"
  have debootstrap || debian_install debootstrap ||
    die "missing: debootstrap. Get it with: apt-get install debootstrap"
  local dir log="$TOOLS/debootstrap.log" mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  dir="$(mktemp -d)"
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$dir'" EXIT
  say "making debian:bookworm-slim with debootstrap (about a minute)"
  debootstrap --variant=minbase bookworm "$dir" "$mirror" >"$log" 2>&1 || die "debootstrap failed: see .tools/debootstrap.log"
  cat >"$dir/etc/apt/sources.list" <<SOURCES
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb ${mirror%/debian}/debian-security bookworm-security main
SOURCES
  # How this machine reaches its mirror, where it says so.
  cp /etc/apt/apt.conf.d/*proxy* "$dir/etc/apt/apt.conf.d/" 2>/dev/null || true
  rm -rf "$dir"/var/cache/apt/archives/*.deb "$dir"/var/lib/apt/lists/*
  tar -C "$dir" -c . | docker import - debian:bookworm-slim >/dev/null
  say "debian:bookworm-slim is there"
}

prebuilt() {
  say "building this machine's binaries"
  cargo build --quiet "${one_selection[@]}" --bins
  scripts/wasm.sh >&2
  local debug="${CARGO_TARGET_DIR:-target}/debug" file
  mkdir -p compose/prebuilt
  # What has not changed keeps its place in the engine's cache, which looks at content alone.
  for file in evenkeel evenkeel-shop; do
    strip -o "compose/prebuilt/$file" "$debug/$file" 2>/dev/null || cp "$debug/$file" "compose/prebuilt/$file"
  done
  cp target/wasm/evenkeel_filter.wasm compose/prebuilt/
}

# build_services [SERVICE…]: their images; all by default.
build_services() {
  base
  # What this machine trusts, its images have to trust while they are built.
  cp /usr/local/share/ca-certificates/*.crt compose/authorities/ 2>/dev/null || true
  mkdir -p "$out"
  say "building the images${1:+ of $*} (log: compose-out/build.log)"
  "${compose[@]}" build "$@" >"$out/build.log" 2>&1 || { tail -n 15 "$out/build.log" >&2; die "the images could not be built"; }
}

build() {
  [ -z "${EVENKEEL_PREBUILT:-}" ] || prebuilt
  build_services
}

# Every port that is published, with its protocol.
ports() {
  "${compose[@]}" config | grep -oE '127\.0\.0\.1:[0-9]+:[0-9]+(/udp)?' | sort -u
  # Compose v2 writes them out in full.
  "${compose[@]}" config | awk '$1 == "published:" { gsub(/"/, "", $2); port = $2 }
    $1 == "protocol:" && port { print "127.0.0.1:" port ":0" ($2 == "udp" ? "/udp" : ""); port = "" }'
}

ports_free() {
  local line port kind
  have python3 || return 0
  while read -r line; do
    port="$(cut -d: -f2 <<<"$line")"
    case "$line" in */udp) kind=SOCK_DGRAM ;; *) kind=SOCK_STREAM ;; esac
    python3 - "$port" "$kind" <<'PYTHON' || die "port $port of 127.0.0.1 is taken: stop what listens there, or choose another (compose/README.md, Ports)"
import socket, sys
with socket.socket(socket.AF_INET, getattr(socket, sys.argv[2])) as s:
    if s.type == socket.SOCK_STREAM:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", int(sys.argv[1])))
    except OSError:
        sys.exit(1)
PYTHON
  done < <(ports)
}

up() {
  local image missing=() memory all running pid
  case "${EVENKEEL_PROFILE:-rpo0}" in
    rpo0 | rpo1s) ;;
    *) die "EVENKEEL_PROFILE: '$EVENKEEL_PROFILE': use rpo0 or rpo1s" ;;
  esac
  memory="$(docker info --format '{{.MemTotal}}')"
  [ "$memory" -ge "$memory_needed" ] ||
    die "too little memory: the Docker engine has $((memory / 1000000)) MB, and the platform needs 4000 MB"
  all="$(containers)" running="$(containers running)"
  if [ "$all" != "$running" ]; then
    say "an earlier run was left half-started: removing it first"
    down
    all=0
  fi
  [ "$all" != 0 ] || ports_free
  for image in "${images[@]}"; do has_image "$image" || missing+=("$image"); done
  [ ${#missing[@]} = 0 ] || build
  mkdir -p "$out"
  SECONDS=0
  "${compose[@]}" up -d --no-build >"$out/up.log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    [ $((SECONDS % 5)) != 0 ] || say "$SECONDS s: $(containers running) parts run"
  done
  wait "$pid" || {
    logs "$out"
    say "$(grep -iE 'error|unhealthy' "$out/up.log" | tail -n 3)"
    down
    die "the platform did not come up; it was removed, and its logs are in compose-out/"
  }
  serves "${TAIWAN_PORT:-18080}"
  serves "${JAPAN_PORT:-18081}"
  cat <<READY
The platform serves after $SECONDS s.
  Taiwan's edge  http://127.0.0.1:${TAIWAN_PORT:-18080}   admin  http://127.0.0.1:${TAIWAN_ADMIN_PORT:-19901}   status  http://127.0.0.1:${TAIWAN_STATUS_PORT:-19903}   DNS  127.0.0.1:${TAIWAN_DNS_PORT:-15301} (UDP)
  Japan's edge   http://127.0.0.1:${JAPAN_PORT:-18081}   admin  http://127.0.0.1:${JAPAN_ADMIN_PORT:-19902}   status  http://127.0.0.1:${JAPAN_STATUS_PORT:-19904}   DNS  127.0.0.1:${JAPAN_DNS_PORT:-15302} (UDP)
  Prometheus     http://127.0.0.1:${PROMETHEUS_PORT:-19090}   Alertmanager  http://127.0.0.1:${ALERTMANAGER_PORT:-19093}   the alerts that arrived  http://127.0.0.1:${RECEIVER_PORT:-19095}
Order something (the same key again gives the same order):
  curl -X POST -H 'idempotency-key: 1' -H 'content-type: application/json' \\
    -d '{"customer":"ada","items":[{"sku":"tea","quantity":1,"price_cents":450}]}' http://127.0.0.1:${TAIWAN_PORT:-18080}/orders
Cut a link, kill a region, choose a profile: compose/README.md. Remove it all: make compose-down
READY
}

# Waits until the edge at this port answers by the shop.
serves() {
  local by=$((SECONDS + 60))
  until curl -fsS -m 2 "http://127.0.0.1:$1/" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$by" ] || {
      logs "$out"
      down
      die "the edge at port $1 does not serve; the platform was removed, and its logs are in compose-out/"
    }
    sleep 0.2
  done
}

down() {
  "${compose[@]}" down --volumes --remove-orphans --timeout 8 >/dev/null 2>&1 ||
    "${compose[@]}" down --volumes --remove-orphans --timeout 8
}

# What every part has said, a file each.
logs() {
  local id name
  mkdir -p "$1"
  docker ps --all --format '{{.ID}} {{.Names}}' --filter "label=com.docker.compose.project=$project" |
    while read -r id name; do docker logs "$id" >"$1/$name.log" 2>&1; done
  docker ps --all --filter "label=com.docker.compose.project=$project" >"$1/parts.log"
}

case "${1:-}" in
  base) engine && base ;;
  images) engine && build_services taiwan-redis taiwan-kafka taiwan-a ;;
  build) engine && build ;;
  up) engine && up ;;
  down) engine && down ;;
  logs) [ $# = 2 ] || die "logs needs a folder"; engine && logs "$2" ;;
  *) die "unknown argument '${1:-}': scripts/compose.sh base | images | build | up | down | logs DIR" ;;
esac
