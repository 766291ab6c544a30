#!/usr/bin/env bash
# Runs the policy's own tests as wasm under Node: proof that what was tested natively also holds
# inside Envoy's VM. WASI has no such runner, so the target is wasm32-unknown-unknown; `policy`
# asks nothing of either.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/need.sh cargo cc node
# The runner reads what the crate wrote: both must be of the same release.
version="$(locked_version wasm-bindgen)"
[ -n "$version" ] || die "Cargo.lock names no wasm-bindgen: is wasm-bindgen-test a dev-dependency of evenkeel-policy?"
# Not --locked: its lock file pins releases that were withdrawn since.
cargo_tool wasm-bindgen-cli "$version" wasm-bindgen-test-runner --bin wasm-bindgen-test-runner

wasm_toolchain wasm32-unknown-unknown
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$TOOLS/bin/wasm-bindgen-test-runner"
exec "${wasm_cargo[@]}" test -p evenkeel-policy --test 'wasm*' --target wasm32-unknown-unknown \
  --target-dir "target/wasm-build/$wasm_kind" "$@"
