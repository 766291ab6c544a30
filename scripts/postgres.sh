#!/usr/bin/env bash
# Prints the folder of a real PostgreSQL's programs (initdb, postgres, pg_ctl, pg_basebackup, psql,
# pgbench), version 15 or later.
#
#   scripts/postgres.sh
#
# $EVENKEEL_PG_BIN if set, else the newest that the system has in its usual places; else Debian's
# packages, installed where this user may do so.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

oldest=15
programs=(initdb postgres pg_ctl pg_basebackup pg_rewind psql pgbench)

# The major version of the PostgreSQL in a folder; nothing if a program is missing or does not run.
major_in() {
  local program
  for program in "${programs[@]}"; do [ -x "$1/$program" ] || return 0; done
  limit 20 "$1/postgres" --version 2>/dev/null </dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p'
}

suits() {
  local major
  major="$(major_in "$1")"
  [ -n "$major" ] && [ "$major" -ge "$oldest" ]
}

newest() {
  local folder found='' best=0 major
  # Debian and PGDG; Red Hat's PGDG; Homebrew on both kinds of Mac; from source; whatever PATH says.
  for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
    /usr/local/opt/postgresql@*/bin /usr/local/pgsql/bin "$(dirname "$(command -v postgres || echo /none/postgres)")"; do
    major="$(major_in "$folder")"
    if [ -n "$major" ] && [ "$major" -ge "$oldest" ] && [ "$major" -gt "$best" ]; then
      found="$folder" best="$major"
    fi
  done
  [ -n "$found" ] && echo "$found"
}

if [ -n "${EVENKEEL_PG_BIN:-}" ]; then
  suits "$EVENKEEL_PG_BIN" ||
    die "EVENKEEL_PG_BIN is '$EVENKEEL_PG_BIN', which does not hold ${programs[*]} of PostgreSQL $oldest or later: correct it or unset it"
  echo "$EVENKEEL_PG_BIN"
  exit 0
fi

newest && exit 0
# The cluster that the package makes is not started; everything here makes its own.
if debian_install postgresql postgresql-contrib && newest; then exit 0; fi
die "missing: PostgreSQL $oldest or later. Get it with: apt-get install postgresql postgresql-contrib (macOS: brew install postgresql@17), or set EVENKEEL_PG_BIN to the folder of its programs"
