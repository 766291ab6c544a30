#!/usr/bin/env bash
# The tests of clients that no one here wrote, directly against PostgreSQL and through the router.
#
#   scripts/suites.sh [--no-run] [WHERE…] [SUITE…]     --no-run: only gets and builds what that needs
#
# WHERE: direct, routed (= writer auto: the router's two listeners) or both (= direct routed), which
# is the default; `again` is a second direct run, which finds tests that are unsteady by themselves;
# `pgbouncer` puts PgBouncer in session mode in the router's place.
# SUITE: asyncpg, psycopg2, tokio-postgres, pgbench; default: all.
#
# Every run gets a PostgreSQL of its own, made from the same files. Outcomes go to
# target/suites/WHERE/SUITE.tsv, the servers' logs beside them; differences are explained in
# tests/suites/known.md. EVENKEEL_BIN names another evenkeel than this checkout's.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# A whole suite takes 45 s at most when nothing is wrong.
bound=300
known=tests/suites/known.md
results="$PWD/target/suites"
venv="$TOOLS/suites/venv"
export PIP_CACHE_DIR="$TOOLS/pip" PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1

wheres=() suites=() run=1
for word in "$@"; do
  case "$word" in
    --no-run) run='' ;;
    direct | writer | auto | again | pgbouncer) wheres+=("$word") ;;
    routed) wheres+=(writer auto) ;;
    both) wheres+=(direct writer auto) ;;
    asyncpg | psycopg2 | tokio-postgres | pgbench) suites+=("$word") ;;
    *) die "unknown argument '$word': scripts/suites.sh [--no-run] [direct|routed|both|again|pgbouncer] [asyncpg|psycopg2|tokio-postgres|pgbench]" ;;
  esac
done
[ "${#wheres[@]}" != 0 ] || wheres=(direct writer auto)
[ "${#suites[@]}" != 0 ] || suites=(asyncpg psycopg2 tokio-postgres pgbench)

# --- What is needed ---

# The clients in a virtual environment of their own, made anew when a version changes.
python_clients() {
  local wanted=tests/suites/requirements.txt
  cmp -s "$wanted" "$venv/requirements.txt" && return
  say "installing asyncpg and psycopg2 into .tools (once)"
  rm -rf "$venv"
  python3 -m venv "$venv" 2>"$TOOLS/suites.log" ||
    { debian_install python3-venv && python3 -m venv "$venv"; } ||
    die "missing: python3's venv. Get it with: apt-get install python3-venv"
  "$venv/bin/pip" install --quiet -r "$wanted" >"$TOOLS/suites.log" 2>&1 </dev/null ||
    die "could not install the clients: see .tools/suites.log"
  cp "$wanted" "$venv/requirements.txt"
}

# tests_of PACKAGE: the folder `tests` out of a client's source distribution, since wheels have none.
tests_of() {
  local package="$1" version folder stage
  version="$(sed -n "s/^$package==//p" tests/suites/requirements.txt)"
  folder="$TOOLS/suites/$package-$version"
  if [ ! -d "$folder/tests" ]; then
    say "fetching the tests of $package $version into .tools (once)"
    stage="$(mktemp -d "$TOOLS/suites/stage.XXXXXX")"
    if ! "$venv/bin/pip" download --quiet --no-deps --no-binary :all: --dest "$stage" "$package==$version" \
      >"$TOOLS/suites.log" 2>&1 </dev/null || ! tar -C "$stage" --strip-components=1 -xzf "$stage"/*.tar.gz; then
      rm -rf "$stage"
      die "could not fetch the source of $package $version: see .tools/suites.log"
    fi
    mkdir -p "$folder"
    # Alone: beside the client's unbuilt source its tests would import that.
    mv "$stage/tests" "$folder/tests"
    rm -rf "$stage"
  fi
  echo "$folder"
}

# The test program inside the tokio-postgres crate, of the version in Cargo.lock.
tokio_postgres_tests() {
  local version source folder
  version="$(locked_version tokio-postgres)"
  folder="$TOOLS/suites/tokio-postgres-$version"
  if [ ! -x "$folder/tests-program" ]; then
    say "building the tests of tokio-postgres $version into .tools (once, about half a minute)"
    source="$(cargo metadata --quiet --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n "s/^host: //p")" |
      python3 -c 'import json, sys; print(*{p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "tokio-postgres"})')"
    rm -rf "$folder"
    cp -R "$(dirname "$source")" "$folder"
    python3 tests/suites/patch_tokio_postgres.py "$folder" || die "could not patch tokio-postgres $version"
    # The published Cargo.lock may name releases that a mirror no longer has.
    rm -f "$folder/Cargo.lock"
    # An empty workspace of its own: the folder lies inside this one.
    printf '\n[workspace]\n' >>"$folder/Cargo.toml"
    cargo test --quiet --manifest-path "$folder/Cargo.toml" --test test --all-features --no-run --message-format json \
      2>"$TOOLS/suites.log" </dev/null |
      python3 -c 'import json, sys; print(*[m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")])' \
        >"$folder/path" || die "could not build the tests of tokio-postgres: see .tools/suites.log"
    cp "$(cat "$folder/path")" "$folder/tests-program"
    rm -rf "$folder/target"
  fi
  echo "$folder/tests-program"
}

# --- The servers ---

# Servers refuse to run as root; then the user that Debian's packages bring runs them.
server=()
if [ "$(id -u)" = 0 ]; then
  id postgres >/dev/null 2>&1 || die "missing: a user 'postgres' to run servers as, since root may not. Get it with: useradd -r postgres"
  server=(setpriv --reuid postgres --regid postgres --init-groups --)
fi

work="$(mktemp -d "${TMPDIR:-/tmp}/evenkeel-suites.XXXXXX")"
chmod 755 "$work"
mkdir "$work/run"
[ "$(id -u)" != 0 ] || chown postgres: "$work/run"
front_pid='' postgres_runs=''

stop_front() {
  [ -z "$front_pid" ] || { kill "$front_pid" 2>/dev/null && wait "$front_pid" 2>/dev/null; } || true
  front_pid=''
}
stop_postgres() {
  [ -z "$postgres_runs" ] || "${server[@]}" "$bin/pg_ctl" -D "$work/run/data" -m immediate stop >/dev/null 2>&1 || true
  postgres_runs=''
}
finish() {
  stop_front
  stop_postgres
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# free_ports N: so many ports of 127.0.0.1 that nothing uses now.
free_ports() {
  python3 -c '
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in sockets])' "$1"
}

as_admin() { "$bin/psql" -XAtq -v ON_ERROR_STOP=1 -h "$work/run" -p "$node" -U postgres "$@"; }

# wait_for PORT: until a client can log in there.
wait_for() {
  local tries
  for tries in {1..200}; do
    PGCONNECT_TIMEOUT=2 PGPASSWORD=postgres "$bin/psql" -XAtqc 'select 1' -h 127.0.0.1 -p "$1" -U postgres postgres \
      >/dev/null 2>"$work/wait" && return
    [ -z "$front_pid" ] || kill -0 "$front_pid" 2>/dev/null || break
    sleep 0.1
  done
  say "no client could log in at port $1 after $tries tries: $(tail -n 1 "$work/wait")"
  return 1
}

start_postgres() {
  "${server[@]}" "$bin/pg_ctl" -D "$work/run/data" -l "$work/run/postgres.log" -o "-p $node" -w start >/dev/null ||
    die "PostgreSQL did not start: $(tail -n 3 "$work/run/postgres.log")"
  postgres_runs=1
}

# The files that every run starts from: users, databases, rules of log-in.
make_template() {
  local data="$work/run/data"
  # All users have passwords: the router takes no client without one.
  "${server[@]}" "$bin/initdb" -D "$data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$work/initdb" 2>&1 ||
    die "initdb failed: $(tail -n 1 "$work/initdb")"
  cat >>"$data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = '$work/run'
max_connections = 200
max_prepared_transactions = 20
jit = off
fsync = off
full_page_writes = off
END
  cat >"$data/pg_hba.conf" <<END
local all postgres trust
host all pass_user 127.0.0.1/32 password
host all md5_user 127.0.0.1/32 md5
host all all 127.0.0.1/32 scram-sha-256
END
  start_postgres
  as_admin postgres <<END
alter role postgres password 'postgres';
create role pass_user login password 'password';
create role scram_user login password 'password';
set password_encryption = md5;
create role md5_user login password 'password';
create database psycopg2_test;
create database pgbench;
\\c psycopg2_test
create extension hstore;
END
  "${server[@]}" "$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null
  postgres_runs=''
  mv "$data" "$work/run/template"
}

# start_front WHERE: sets `port`, where the clients connect.
start_front() {
  local where="$1" log="$results/$1/front.log"
  case "$where" in
    direct | again) port="$node" ;;
    pgbouncer)
      port="$front"
      cat >"$work/run/pgbouncer.ini" <<END
[databases]
* = host=127.0.0.1 port=$node
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $work/run/users.txt
pool_mode = session
default_pool_size = 150
max_db_connections = 0
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits, options
END
      printf '"%s" "%s"\n' postgres postgres pass_user password md5_user password scram_user password >"$work/run/users.txt"
      "${server[@]}" "$pgbouncer" "$work/run/pgbouncer.ini" >"$log" 2>&1 &
      front_pid=$!
      ;;
    writer | auto)
      port="$front"
      printf 'suites-need-no-secret\n' >"$work/token"
      cat >"$work/credentials.yaml" <<END
users:
- {name: postgres, password: postgres}
- {name: pass_user, password: password}
- {name: md5_user, password: password}
- {name: scram_user, password: password}
END
      mkdir -p "$work/companion"
      cat >"$work/evenkeel.yaml" <<END
service: suites
local_region: r1
regions: [{name: r1, address: "127.0.0.1:1"}]
companion:
  address: "127.0.0.1:$companion"
  listen: "127.0.0.1:$companion"
  admin: "127.0.0.1:$admin"
  data_dir: $work/companion
  token_file: token
  drain_timeout: 1s
components: {database: {required: false}}
database:
  nodes: [{name: n1, region: r1, address: "127.0.0.1:$node"}]
  login: {user: postgres, password_file: password}
  credentials: credentials.yaml
  pool: {max: 150, pinned_max: 150}
  listeners: [{listen: "127.0.0.1:$port", mode: $where}]
END
      printf 'postgres\n' >"$work/password"
      "$evenkeel" run "$work/evenkeel.yaml" --region r1 >"$log" 2>&1 &
      front_pid=$!
      ;;
  esac
  wait_for "$port"
}

# --- A run ---

# run_suite WHERE SUITE: that suite once, on a fresh PostgreSQL.
run_suite() {
  local where="$1" suite="$2" file="$results/$1/$2.tsv" rc=0
  "${server[@]}" cp -R "$work/run/template" "$work/run/data"
  start_postgres
  rm -f "$file"
  printf '%-10s %-15s ' "$where" "$suite"
  (
    export PGHOST=127.0.0.1 PGUSER=postgres PGPASSWORD=postgres PYTHONPATH="$PWD/tests/suites" PYTHONDONTWRITEBYTECODE=1
    start_front "$where" || exit 1
    trap stop_front EXIT
    export PGPORT="$port"
    case "$suite" in
      asyncpg | psycopg2)
        if [ "$suite" = asyncpg ]; then
          export PGDATABASE=postgres PGVERSION="$major"
          cd "$asyncpg_tests"
        else
          cd "$psycopg2_tests"
        fi
        limit "$bound" "$venv/bin/python" "$PYTHONPATH/run.py" "$file" tests --left-out "$PYTHONPATH/known.md" "$suite"
        ;;
      tokio-postgres)
        # asyncpg's tests, in the same database, make these themselves.
        as_admin -c 'create extension hstore' -c 'create extension citext' -c 'create extension ltree' postgres
        limit "$bound" python3 "$PYTHONPATH/run_rust.py" "$file" "$tokio_postgres_program"
        ;;
      pgbench) PGDATABASE=pgbench limit "$bound" python3 "$PYTHONPATH/run_pgbench.py" "$file" "$bin" ;;
    esac 2>"$results/$where/$suite.err"
  ) || rc=$?
  stop_postgres
  mv "$work/run/postgres.log" "$results/$where/$suite.postgres.log"
  rm -rf "$work/run/data"
  # 124: the time is over, and what was not reached is missing in the file; the comparison tells.
  [ "$rc" = 0 ] || echo "ended with $rc: see target/suites/$where/$suite.err and front.log"
  [ -f "$file" ] || : >"$file"
}

scripts/need.sh python3 cargo cc
mkdir -p "$TOOLS/suites"
bin="$(scripts/postgres.sh)"
major="$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9.]*\).*/\1/')"
pgbouncer='' evenkeel=''
asyncpg_tests='' psycopg2_tests='' tokio_postgres_program=''
for where in "${wheres[@]}"; do
  case "$where" in
    pgbouncer) pgbouncer="$(scripts/program.sh pgbouncer)" ;;
    writer | auto)
      if [ -z "${EVENKEEL_BIN:-}" ]; then
        cargo build --quiet -p evenkeel
        evenkeel="${CARGO_TARGET_DIR:-target}/debug/evenkeel"
      else
        evenkeel="$EVENKEEL_BIN"
      fi
      ;;
  esac
done
for suite in "${suites[@]}"; do
  case "$suite" in
    asyncpg) python_clients && asyncpg_tests="$(tests_of asyncpg)" ;;
    psycopg2) python_clients && psycopg2_tests="$(tests_of psycopg2-binary)" ;;
    tokio-postgres) tokio_postgres_program="$(tokio_postgres_tests)" ;;
  esac
done

[ -n "$run" ] || exit 0

read -r node front companion admin < <(free_ports 4)
make_template
compared=()
for where in "${wheres[@]}"; do
  [ "$where" = direct ] || compared+=("$where")
done
for suite in "${suites[@]}"; do
  # What is compared needs something to be compared with.
  if [ "${#compared[@]}" != 0 ] && [ ! -s "$results/direct/$suite.tsv" ] && [[ " ${wheres[*]} " != *" direct "* ]]; then
    mkdir -p "$results/direct"
    run_suite direct "$suite"
  fi
  for where in "${wheres[@]}"; do
    mkdir -p "$results/$where"
    run_suite "$where" "$suite"
  done
done
[ "${#compared[@]}" = 0 ] ||
  PYTHONDONTWRITEBYTECODE=1 python3 tests/suites/report.py "$known" "$results" "${suites[*]}" "${compared[*]}"
