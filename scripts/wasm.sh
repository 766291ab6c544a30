#!/usr/bin/env bash
# Builds the filter for Envoy and writes it to target/wasm/evenkeel_filter.wasm.
#
#   scripts/wasm.sh [--features LIST] [--out FILE]
#
# Uses the compiler in PATH if it knows wasm32-wasip1 or rustup can teach it, else Debian's.
set -euo pipefail
# A relative --out is relative to where the caller stands.
caller="$PWD"
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

limit_bytes=512000 # the module is parsed once per worker: 500 KB is the promise in the README
features=()
out="$PWD/target/wasm/evenkeel_filter.wasm"
while [ $# -gt 0 ]; do
  case "$1" in
    --features | --out) [ $# -ge 2 ] || die "$1 needs a value" ;;
  esac
  case "$1" in
    --features) features=(--features "$2"); shift 2 ;;
    --out)
      case "$2" in /*) out="$2" ;; *) out="$caller/$2" ;; esac
      shift 2 ;;
    *) die "unknown argument '$1': scripts/wasm.sh [--features LIST] [--out FILE]" ;;
  esac
done

scripts/need.sh cargo cc
wasm_toolchain wasm32-wasip1
target_dir="target/wasm-build/$wasm_kind"
"${wasm_cargo[@]}" build --quiet --profile wasm -p evenkeel-filter --lib --target wasm32-wasip1 \
  --target-dir "$target_dir" ${features[@]+"${features[@]}"} >&2

built="$target_dir/wasm32-wasip1/wasm/evenkeel_filter.wasm"
size="$(wc -c <"$built" | tr -d ' ')"
[ "$size" -le "$limit_bytes" ] || die "$built has $size bytes; the most allowed is $limit_bytes"
mkdir -p "$(dirname "$out")"
# An unchanged module keeps its time stamp. Otherwise it is replaced in one step, so that an Envoy
# that loads it meanwhile never reads half a module.
if ! cmp -s "$built" "$out"; then
  cp "$built" "$out.new"
  mv "$out.new" "$out"
fi
echo "${out#"$PWD"/}: $size bytes (limit $limit_bytes), built with the $wasm_kind toolchain"
