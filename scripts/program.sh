#!/usr/bin/env bash
# Prints the paths of programs that tests and benchmarks put beside Evenkeel, one on a line.
#
#   scripts/program.sh NAME…      pgbouncer haproxy redis-server chromium patroni etcd etcdctl openssl
#                                 gdnsd pdns_server unbound dnsperf kdig dig promtool amtool
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
    gdnsd | unbound | dnsperf) package="$program" ;;
    etcd) package=etcd-server ;;
    etcdctl) package=etcd-client ;;
    pdns_server)
      package=pdns-server
      # The part that answers by place is a package of its own, without a program.
      compgen -G '/usr/lib/*/pdns/libgeoipbackend.so' >/dev/null ||
        compgen -G '/usr/*lib*/pdns/libgeoipbackend.so' >/dev/null || packages+=(pdns-backend-geoip)
      ;;
    kdig) package=knot-dnsutils ;;
    dig) package=bind9-dnsutils ;;
    promtool) package=prometheus ;;
    amtool) package=prometheus-alertmanager ;;
    *) die "'$program' is no program that is looked for here: see the head of scripts/program.sh" ;;
  esac
  have "$program" || packages+=("$package")
done
if [ "${#packages[@]}" != 0 ]; then
  debian_install "${packages[@]}" ||
    die "missing: ${packages[*]}. Get them with: apt-get install ${packages[*]} (macOS: brew install, by the same or like names)"
fi
for program in "$@"; do
  command -v "$program" || die "missing: $program, although its package is installed: is it in PATH?"
done
