#!/usr/bin/env bash
# Brings the platform up, cuts and kills parts of it (tests/compose.rs), and removes it. On failure every
# part's log is kept in compose-out/. Takes this machine's binaries if EVENKEEL_PREBUILT=1.
#
#   scripts/compose-test.sh [TEST…]     the tests whose names contain one of these; all by default
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/program.sh kdig >/dev/null
rm -rf compose-out
rc=0
cargo test --quiet -p evenkeel-tests --test compose --no-run
[ -z "${EVENKEEL_PREBUILT:-}" ] || scripts/compose.sh build
# A run of one's own, whatever was left from another.
scripts/compose.sh down
trap 'scripts/compose.sh down' EXIT
scripts/compose.sh up >&2
cargo test --quiet -p evenkeel-tests --test compose -- --test-threads 1 --nocapture "$@" || rc=$?
if [ "$rc" != 0 ]; then
  scripts/compose.sh logs compose-out
  say "what every part said is in compose-out/"
fi
exit "$rc"
