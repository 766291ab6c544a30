#!/usr/bin/env bash
# Formatting, clippy, dependencies (licences, bans, sources, known vulnerabilities), shell scripts, what
# systemd and Kubernetes say of deploy/.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

cargo_deny=0.20.2
scripts/need.sh cargo cc
announce() { printf '== %4d s  %s\n' "$SECONDS" "$1"; }

announce "Cargo.lock"
cargo metadata --locked --format-version 1 >/dev/null ||
  die "cargo could not use Cargo.lock as it is: if it is only behind the manifests, run 'cargo check' and commit it"

announce "formatting"
cargo fmt --all --check || die "not formatted: run 'make fmt'"

announce "clippy"
cargo clippy --workspace --all-targets -- -D warnings
# It runs where it is named only, and is linted in the same way; in the whole workspace, whose dependencies
# are checked by now.
cargo clippy --workspace --test compose -- -D warnings

# The filter's own code for wasm. Only where PATH's compiler has the target: Debian's toolchain
# would have to compile std once more for it.
if rust_has wasm32-wasip1; then
  announce "clippy, filter as wasm"
  cargo clippy -p evenkeel-filter --target wasm32-wasip1 --target-dir target/wasm-build/rust -- -D warnings
else
  echo "skipped: clippy for wasm32-wasip1 (this Rust has no such target)"
fi

announce "dependencies"
cargo_tool cargo-deny "$cargo_deny" cargo-deny --no-default-features
deny="$TOOLS/bin/cargo-deny"
"$deny" --log-level error check --hide-inclusion-graph licenses bans sources
# The database of vulnerabilities lives in a git repository, which not every network reaches. Once
# fetched it is used without asking again, so that only a finding fails, never the network.
if limit 60 "$deny" --log-level error fetch db >"$TOOLS/deny-fetch.log" 2>&1 </dev/null; then
  "$deny" --log-level error check --disable-fetch advisories
else
  echo "skipped: known vulnerabilities (the RustSec database cannot be fetched here; see .tools/deny-fetch.log)"
fi

if have shellcheck; then
  announce "shell scripts"
  shellcheck --external-sources scripts/*.sh .ci/run
else
  echo "skipped: shellcheck (not installed; get it with: apt-get install shellcheck)"
fi

announce "deployment files"
scripts/deploy-check.sh
announce "clean"
