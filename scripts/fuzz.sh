#!/usr/bin/env bash
# Runs every fuzz target for a while.
#
#   scripts/fuzz.sh [SECONDS]     60 for each target, unless told otherwise
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

cargo_fuzz=0.13.2
seconds="${1:-60}"
case "$seconds" in "" | *[!0-9]*) die "'$seconds' is no number of seconds: scripts/fuzz.sh 60" ;; esac

scripts/need.sh cargo cc c++
# The sanitizers that fuzzing needs are not in stable Rust.
{ have rustup && rustup toolchain list | grep -q '^nightly'; } ||
  die "missing: a nightly Rust, for fuzzing. Get it with: rustup toolchain install nightly --profile minimal"
[ -d fuzz/fuzz_targets ] || die "missing: fuzz/fuzz_targets, the fuzz targets: run from a whole checkout"
cargo_tool cargo-fuzz "$cargo_fuzz" cargo-fuzz

for file in fuzz/fuzz_targets/*.rs; do
  target="$(basename "$file" .rs)"
  say "== $SECONDS s  $target, for $seconds s"
  # Through rustup's own switch, not `+nightly`: cargo-fuzz calls cargo again.
  RUSTUP_TOOLCHAIN=nightly "$TOOLS/bin/cargo-fuzz" run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048
done
