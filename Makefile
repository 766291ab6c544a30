# Every habit of the project as one word; `make help` lists them.
# Nothing needs to be installed first: what a target lacks it gets into .tools/, or says how to.

.DEFAULT_GOAL := help
SHELL := /bin/bash
WASM := target/wasm/evenkeel_filter.wasm
# More arguments for the program that a target starts: make demo ARGS="--help"
ARGS :=
# How long `make fuzz` spends on each target.
FUZZ_SECONDS ?= 60

.PHONY: help demo up test test-full suites lint bench bench-edge bench-db bench-dns wasm fuzz fmt examples clean chaos
.PHONY: compose-base compose-build compose-up compose-down compose-test need

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: need wasm ## the main job: two regions and a real Envoy, a region dies, the verdict
	@[ -x target/debug/evenkeel ] || echo "building the command (once, about a minute)" >&2
	@envoy="$$(scripts/envoy.sh)" && cargo run --quiet -p evenkeel -- demo --envoy "$$envoy" --wasm $(WASM) $(ARGS)

up: need wasm ## the same, left running until Ctrl-C
	@[ -x target/debug/evenkeel ] || echo "building the command (once, about a minute)" >&2
	@envoy="$$(scripts/envoy.sh)" && cargo run --quiet -p evenkeel -- demo --keep --envoy "$$envoy" --wasm $(WASM) $(ARGS)

test: ## every test that needs no Docker: native, end to end in Envoy, policy as wasm
	@scripts/test.sh $(ARGS)

test-full: ## the same, and the end-to-end tests again in the oldest supported Envoy
	@scripts/test.sh --full

suites: need ## asyncpg's, psycopg2's and tokio-postgres' own tests, and pgbench: directly and through the router
	@scripts/suites.sh $(ARGS)

lint: ## formatting, clippy, licences and advisories of dependencies, shell scripts
	@scripts/lint.sh

bench: need ## how long one decision takes (criterion)
	@cargo bench -p evenkeel-policy $(ARGS)

bench-edge: need wasm ## Envoy's CPU time per request against native routes, Lua and an empty filter
	@scripts/wasm.sh --package evenkeel-empty-filter
	@envoy="$$(scripts/envoy.sh)" && EVENKEEL_ENVOY="$$envoy" EVENKEEL_WASM="$(CURDIR)/$(WASM)" cargo run --quiet -p evenkeel-tests --bin bench-edge -- $(ARGS)

bench-db: need ## the database router beside PgBouncer and HAProxy: throughput, failovers, own-write reads, memory
	@postgres="$$(scripts/postgres.sh)" && pgbouncer="$$(scripts/program.sh pgbouncer)" && haproxy="$$(scripts/program.sh haproxy)" && \
	  cargo build --quiet --release -p evenkeel && \
	  EVENKEEL_PG_BIN="$$postgres" EVENKEEL_PGBOUNCER="$$pgbouncer" EVENKEEL_HAPROXY="$$haproxy" \
	  EVENKEEL_BIN="$$(cd "$${CARGO_TARGET_DIR:-target}" && pwd)/release/evenkeel" \
	  cargo run --quiet -p evenkeel-tests --bin bench-db -- $(ARGS)

bench-dns: need ## the DNS responder beside gdnsd and PowerDNS: throughput, health flips, weights, memory
	@scripts/program.sh gdnsd pdns_server dnsperf kdig >/dev/null && cargo build --quiet --release -p evenkeel && \
	  EVENKEEL_BIN="$$(cd "$${CARGO_TARGET_DIR:-target}" && pwd)/release/evenkeel" \
	  cargo run --quiet -p evenkeel-tests --bin bench-dns -- $(ARGS)

compose-base: ## Docker's debian:bookworm-slim: pulled, or made by debootstrap where nothing can be pulled
	@scripts/compose.sh base

compose-build: ## the images of the whole two-region platform
	@scripts/compose.sh build

compose-up: ## the whole two-region platform in docker compose, with a first request to try
	@scripts/compose.sh up

compose-down: ## remove it: containers, networks, volumes
	@scripts/compose.sh down

compose-test: need ## bring it up, order, cut, kill, assert, remove it; logs of a failure in compose-out/
	@scripts/compose-test.sh $(ARGS)

chaos: need ## an experiment on the compose platform, which is brought up if it is not: ARGS="region-failure"
	@docker ps --quiet --filter label=com.docker.compose.project=evenkeel 2>/dev/null | grep -q . || scripts/compose.sh up
	@cargo run --quiet -p evenkeel -- chaos run $(or $(ARGS),region-failure)

wasm: ## the filter for Envoy, into target/wasm/evenkeel_filter.wasm
	@scripts/wasm.sh

fuzz: need ## each fuzz target for FUZZ_SECONDS (60); needs a nightly Rust
	@scripts/fuzz.sh $(FUZZ_SECONDS)

fmt: need ## format all Rust code
	@cargo fmt --all

examples: need ## render the examples in envoy/ again
	@EVENKEEL_UPDATE=1 cargo test --quiet -p evenkeel-config --test examples

clean: ## remove what was built; .tools/, which takes minutes to fetch, stays
	@rm -rf target demo-out bench-out compose-out chaos-out compose/prebuilt

need:
	@scripts/need.sh cargo python3 cc
