#!/usr/bin/env bash
# need.sh TOOL…: one clear line for each tool that is missing; fails if any is.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

missing=0
for tool in "$@"; do
  have "$tool" && continue
  missing=1
  case "$tool" in
    cargo) how="install Rust with rustup (rustup.rs), then open a new shell" ;;
    python3) how="apt-get install python3 python3-venv (macOS: xcode-select --install)" ;;
    cc) how="apt-get install gcc libc6-dev (macOS: xcode-select --install)" ;;
    c++) how="apt-get install g++ (macOS: xcode-select --install)" ;;
    *) how="your system's packages" ;;
  esac
  what="$tool"
  [ "$tool" = cc ] && what="cc (the C compiler that Rust links with)"
  say "missing: $what. Get it with: $how"
done
exit "$missing"
