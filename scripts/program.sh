#!/usr/bin/env bash
# Prints the paths of programs that tests and benchmarks put beside Evenkeel, one on a line.
#
#   scripts/program.sh NAME…      pgbouncer haproxy redis-server chromium patroni etcd openssl
#
# From PATH, else where Debian puts servers; else from Debian's packages, installed in one go where
# this user may do so.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# Servers lie outside a plain user's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
packages=()
for program in "$@"; do
  case "$program" in
    pgbouncer | haproxy | redis-server | chromium | patroni | openssl) package="$program" ;;
    etcd) package=etcd-server ;;
    *) die "'$program' is no program that is looked for here: see the head of scripts/program.sh" ;;
  esac
  have "$program" || packages+=("$package")
done
if [ "${#packages[@]}" != 0 ]; then
  # RUNLEVEL=1: an installed server is not started, only its files are wanted.
  RUNLEVEL=1 debian_install "${packages[@]}" ||
    die "missing: ${packages[*]}. Get them with: apt-get install ${packages[*]} (macOS: brew install, by the same or like names)"
fi
for program in "$@"; do
  command -v "$program" || die "missing: $program, although its package is installed: is it in PATH?"
done
