#!/usr/bin/env bash
# Brings the platform up, cuts and kills parts of it (tests/compose), and removes it. On failure every part's
# log is kept in compose-out/. Takes this machine's binaries if EVENKEEL_PREBUILT=1.
#
#   scripts/compose-test.sh             every test; those of the profile rpo1s on a second platform
#   scripts/compose-test.sh --short     those that take under a minute each: what .ci/run runs
#   scripts/compose-test.sh TEST…       those whose names contain one of these, in EVENKEEL_PROFILE
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# Nothing here takes so long, whatever the machine: what does hangs.
up_at_most=300 tests_at_most=900
rc=0

tests() {
  limit "$tests_at_most" cargo test --quiet --workspace --test compose -- --test-threads 1 --nocapture "$@"
}

# on PROFILE ARGUMENT…: a platform of one's own, whatever was left from another, and the tests on it.
on() {
  local of="$1" failed=0
  shift
  export EVENKEEL_PROFILE="$of"
  scripts/compose.sh down
  limit "$up_at_most" scripts/compose.sh up >&2 ||
    { say "the platform ($of) did not come up within $up_at_most s"; rc=1; return 0; }
  tests "$@" || failed=$?
  [ "$failed" != 124 ] || say "the tests ($of) were ended after $tests_at_most s: one of them hangs"
  [ "$failed" = 0 ] || {
    rc=1
    scripts/compose.sh logs "compose-out/$of"
    say "what every part said is in compose-out/$of/"
  }
}

scripts/program.sh kdig >/dev/null
rm -rf compose-out
cargo test --quiet --workspace --test compose --no-run
[ -z "${EVENKEEL_PREBUILT:-}" ] || scripts/compose.sh build
trap 'scripts/compose.sh down' EXIT
# These want a machine without the platform.
bad_input() {
  scripts/compose.sh down
  tests bad_input:: || rc=1
}

case "${1:-}" in
  --short)
    tests_at_most=400
    bad_input
    on rpo0 --skip bad_input::
    ;;
  -*) die "unknown argument '$1': scripts/compose-test.sh [--short | TEST…]" ;;
  "")
    bad_input
    on rpo0 --include-ignored --skip rpo1s:: --skip bad_input::
    on rpo1s --include-ignored rpo1s::
    ;;
  *) on "${EVENKEEL_PROFILE:-rpo0}" --include-ignored "$@" ;;
esac
exit "$rc"
