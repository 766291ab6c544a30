#!/usr/bin/env bash
# Prints the path of a server that tests and benchmarks put beside Evenkeel.
#
#   scripts/program.sh pgbouncer|haproxy
#
# From PATH, else where Debian puts servers; else from the Debian package of that name, installed
# where this user may do so.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

program="${1:-}"
case "$program" in
  pgbouncer | haproxy) ;;
  *) die "'$program' is no program that is looked for here: use pgbouncer or haproxy" ;;
esac

# Servers lie outside a plain user's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
if ! have "$program"; then
  # RUNLEVEL=1: an installed server is not started, only its files are wanted.
  RUNLEVEL=1 debian_install "$program" ||
    die "missing: $program. Get it with: apt-get install $program (macOS: brew install $program)"
fi
command -v "$program"
