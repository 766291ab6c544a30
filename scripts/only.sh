#!/usr/bin/env bash
# cargo's test runner of scripts/test.sh: runs a test program, or leaves it to another stage.
#
#   scripts/only.sh in|but PACKAGES PROGRAM ARGUMENT…
#
# in: programs of these packages (names with spaces between them). but: all others, and everything that
# documentation shows, whosever it is.
set -euo pipefail

[ $# -ge 3 ] || { echo "scripts/only.sh in|but PACKAGES PROGRAM ARGUMENT…" >&2; exit 2; }
which="$1" packages="$2" program="$3" package="${CARGO_PKG_NAME:?not set: only cargo test starts this}"
shift 2
case " $packages " in *" $package "*) named=1 ;; *) named='' ;; esac
case "$which" in
  in) [ -n "$named" ] || exit 0 ;;
  # What cargo builds lies in deps/; what rustdoc builds does not.
  but) case "$named$program" in 1*/deps/*) exit 0 ;; esac ;;
  *) echo "scripts/only.sh: '$which': use in or but" >&2; exit 2 ;;
esac
exec "$@"
