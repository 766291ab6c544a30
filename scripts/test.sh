#!/usr/bin/env bash
# Every test that needs no Docker (but for --compose), stage by stage; the last line adds them all up.
#
#   scripts/test.sh [--full] [--compose]
#
# --full repeats the end-to-end tests with the oldest Envoy that is supported, slow cases included.
# --compose runs the short tests of the docker compose platform too; a Docker engine must answer.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

oldest_envoy=1.36.4
full='' compose=''
for argument in "$@"; do
  case "$argument" in
    --full) full=1 ;;
    --compose) compose=1 ;;
    *) die "unknown argument '$argument': scripts/test.sh [--full] [--compose]" ;;
  esac
done
scripts/need.sh cargo python3 cc

passed=0 failed=0 skipped=0 broken=()
output="$(mktemp "$TOOLS/test.XXXXXX")"
# shellcheck disable=SC2046  # a list of numbers
trap 'rm -f "$output"; kill $(jobs -p) 2>/dev/null || true' EXIT

announce() { printf '\n== %4d s  %s\n' "$SECONDS" "$1"; }

# stage NAME COMMAND…: runs it, shows what it says, and adds up its `test result:` lines. A stage
# that breaks before its tests count (a compile error, say), or that finds no test at all, is one
# failure: a total of "0 failed" must mean what it says.
stage() {
  local name="$1" rc=0 p f s
  shift
  announce "$name"
  "$@" 2>&1 | tee "$output" || rc="${PIPESTATUS[0]}"
  read -r p f s < <(awk '/^test result: / {
      for (i = 2; i <= NF; i++) {
        if ($i == "passed;") p += $(i - 1); if ($i == "failed;") f += $(i - 1); if ($i == "ignored;") s += $(i - 1)
      }
    } END { print p + 0, f + 0, s + 0 }' "$output")
  if [ "$rc" != 0 ] && [ "$f" = 0 ]; then f=1; fi
  if [ "$rc" = 0 ] && [ "$p" = 0 ]; then say "$name: no test ran"; f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  [ "$f" = 0 ] || broken+=("$name")
}

# prepare NAME COMMAND…: a step without tests of its own; prints only what the command says.
prepare() {
  local name="$1"
  shift
  announce "$name"
  "$@" || { failed=$((failed + 1)); broken+=("$name"); return 1; }
}

# aside NAME COMMAND…: gets something ready beside the other stages, at the lowest priority, with its log in
# .tools/NAME.log. The stage that needs it calls `settle PID NAME` first, and does again whatever is not
# done then: a failure is told there.
aside() {
  local name="$1"
  shift
  nice -n 19 "$@" >"$TOOLS/$name.log" 2>&1 &
}
settle() { wait "$1" || say "$2 could not be got ready beforehand: see .tools/$2.log"; }

parts() {
  export EVENKEEL_WASM="$PWD/target/wasm/evenkeel_filter.wasm"
  export EVENKEEL_WASM_CRASH="$PWD/target/wasm/evenkeel_filter_crash.wasm"
  scripts/wasm.sh --out "$EVENKEEL_WASM" &&
    scripts/wasm.sh --features crash-test --out "$EVENKEEL_WASM_CRASH" &&
    # All that the next two stages run.
    cargo build --workspace --bins --tests &&
    cargo build "${one_selection[@]}" --features evenkeel-shop/broken --bin evenkeel-shop-broken &&
    EVENKEEL_ENVOY="$(scripts/envoy.sh)" && export EVENKEEL_ENVOY &&
    { have redis-server || debian_install redis-server ||
      die "missing: redis-server. Get it with: apt-get install redis-server (macOS: brew install redis)"; } &&
    EVENKEEL_BIN="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/evenkeel" && export EVENKEEL_BIN &&
    export EVENKEEL_SHOP_BROKEN="$EVENKEEL_BIN-shop-broken" &&
    echo "Envoy: $EVENKEEL_ENVOY" &&
    EVENKEEL_PG_BIN="$(scripts/postgres.sh)" && export EVENKEEL_PG_BIN &&
    EVENKEEL_KAFKA="$(scripts/kafka.sh)" && export EVENKEEL_KAFKA &&
    echo "PostgreSQL: $EVENKEEL_PG_BIN; Kafka: $EVENKEEL_KAFKA" &&
    scripts/program.sh redis-server chromium patroni etcd etcdctl openssl &&
    scripts/program.sh gdnsd pdns_server unbound dnsperf kdig dig promtool amtool
}

# tests_of WHICH PACKAGES CARGO-TEST-ARGUMENT…: builds every test, runs those that scripts/only.sh lets through.
# With a part of the workspace selected, cargo would compile what the parts have in common once more (see
# one_selection in scripts/lib.sh).
tests_of() {
  local runner
  runner="$(printf '"%s", ' "$PWD/scripts/only.sh" "$1" "$2")"
  shift 2
  cargo test --workspace --no-fail-fast --config "target.'cfg(all())'.runner = [${runner%, }]" "$@"
}

# Most end-to-end tests wait rather than work: more of them at once than there are cores. Those that
# measure time take turns of their own. (--tests: what documentation shows is tested by the native stage.)
end_to_end() { RUST_TEST_THREADS=6 tests_of in "$@"; }

# First, since some crates test what they write against the real Envoy too.
ready=1
prepare "the real parts: filter, Envoy, evenkeel" parts || ready=
stage "native tests" tests_of but evenkeel-tests
# The suites that take a minute or two each are for --full.
suites=(tokio-postgres pgbench)
[ -z "$full" ] || suites=(asyncpg psycopg2 tokio-postgres pgbench)
# These compile and fetch for minutes, while the end-to-end tests mostly wait.
[ -z "$ready" ] || { aside drivers scripts/suites.sh --no-run both "${suites[@]}"; drivers=$!; }
aside wasm-test scripts/wasm-test.sh --no-run
wasm_test=$!
[ -z "$compose" ] || { aside compose-images scripts/compose.sh images; compose_images=$!; }
if [ -n "$ready" ]; then
  stage "end to end, in a real Envoy" end_to_end evenkeel-tests --tests
  if [ -n "$full" ] && prepare "Envoy $oldest_envoy" scripts/envoy.sh "$oldest_envoy"; then
    EVENKEEL_ENVOY="$(scripts/envoy.sh "$oldest_envoy")" \
      stage "in Envoy $oldest_envoy" end_to_end "evenkeel-tests evenkeel-config" --tests -- --include-ignored
  fi
fi
if [ -n "$ready" ]; then
  settle "$drivers" drivers
  stage "drivers' own tests, directly and through the router" scripts/suites.sh both "${suites[@]}"
fi
settle "$wasm_test" wasm-test
stage "policy as wasm, under Node" scripts/wasm-test.sh
if [ -n "$compose" ]; then
  settle "$compose_images" compose-images
  EVENKEEL_PREBUILT=1 stage "the platform in docker compose" scripts/compose-test.sh --short
fi

announce "done"
for name in ${broken[@]+"${broken[@]}"}; do echo "FAILED: $name"; done
total="$passed passed, $failed failed"
[ "$skipped" = 0 ] || total="$total, $skipped skipped"
echo "$total"
[ "$failed" = 0 ]
