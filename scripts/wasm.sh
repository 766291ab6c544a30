#!/usr/bin/env bash
# Builds the filter for Envoy and writes it to target/wasm/evenkeel_filter.wasm.
#
#   scripts/wasm.sh [--features LIST] [--package NAME] [--out FILE]
#
# With --package another module than the filter, for example evenkeel-empty-filter.
# Uses the compiler in PATH if it knows wasm32-wasip1 or rustup can teach it, else Debian's.
set -euo pipefail
# A relative --out is relative to where the caller stands.
caller="$PWD"
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

limit_bytes=512000 # the module is parsed once per worker: 500 KB is the promise in the README
features=() package=evenkeel-filter out=
while [ $# -gt 0 ]; do
  case "$1" in
    --features | --package | --out) [ $# -ge 2 ] || die "$1 needs a value" ;;
  esac
  case "$1" in
    --features) features=(--features "$2"); shift 2 ;;
    --package) package="$2"; shift 2 ;;
    --out)
      case "$2" in /*) out="$2" ;; *) out="$caller/$2" ;; esac
      shift 2 ;;
    *) die "unknown argument '$1': scripts/wasm.sh [--features LIST] [--package NAME] [--out FILE]" ;;
  esac
done
case "$package" in
  evenkeel-filter) library=evenkeel_filter ;;
  evenkeel-empty-filter) library=empty_filter ;;
  *) die "unknown package '$package': use evenkeel-filter or evenkeel-empty-filter" ;;
esac
out="${out:-$PWD/target/wasm/$library.wasm}"

scripts/need.sh cargo cc
wasm_toolchain wasm32-wasip1
target_dir="target/wasm-build/$wasm_kind"
[ -d "$target_dir" ] || say "building the filter (once, about a minute)"
"${wasm_cargo[@]}" build --quiet --profile wasm -p "$package" --lib --target wasm32-wasip1 \
  --target-dir "$target_dir" ${features[@]+"${features[@]}"} >&2

built="$target_dir/wasm32-wasip1/wasm/$library.wasm"
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
