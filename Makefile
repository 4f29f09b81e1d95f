# The programs of Postgres to use, if not the ones that are found: make test PG_BIN=/path/to/bin
ifdef PG_BIN
export HAULAGE_PG_BIN := $(abspath $(PG_BIN))
endif

.PHONY: help demo test bench bench-dashboard bench-peers faults soak screenshots lint docs deny setup
.NOTPARALLEL:

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'PG_BIN=/path/to/bin makes any of them use the initdb and postgres in that folder'

demo: ## a small shop and two workers on a private Postgres; ARGS=--incidents plants ten things that go wrong
	@.ci/setup postgres
	cargo run --release --features axum,dashboard,telemetry --example shop -- demo $(ARGS)

test: setup lint docs deny ## everything that a change must pass
	cargo test --workspace --all-features

faults: ## real processes and a real Postgres broken on purpose, a quarter of an hour; SEED=7 MINUTES=5 repeats one seed
	@.ci/setup postgres faketime
	cargo test --workspace --all-features --test faults -- --mutants all \
		$(if $(SEED),--seed $(SEED),--seeds 3) $(if $(MINUTES),--seconds $$(($(MINUTES) * 60))) $(ARGS)

soak: ## the same for hours, before a release: 10 seeds of 20 minutes, kept in docs/soak.md; SEED, SEEDS, MINUTES; PREVIOUS=<revision>
	@.ci/setup postgres faketime
	$(if $(PREVIOUS),PREVIOUS=$(PREVIOUS) .ci/previous)
	cargo test --workspace --all-features --test faults -- --mutants all --report docs/soak.md \
		--seed $(or $(SEED),1) --seeds $(or $(SEEDS),10) --seconds $$(($(or $(MINUTES),20) * 60)) \
		$(if $(PREVIOUS),--previous target/previous) $(ARGS)

bench: ## throughput and latency on a private Postgres, 50 minutes; SCENARIOS="drain bulk" picks some
	@.ci/setup postgres
	cargo run --release --features cli --bin haulage -- bench $(SCENARIOS) $(ARGS)

bench-dashboard: ## every page of the dashboard beside ten million finished jobs, ten minutes and 10 GB of disk; ARGS="--dashboard 1000000" for a tenth
	@.ci/setup postgres
	cargo run --release --features cli --bin haulage -- bench dashboard $(ARGS)

bench-peers: ## the same beside graphile_worker, apalis-postgres and awa; SCENARIOS and ARGS as above
	@.ci/setup postgres
	cd benches/peers && cargo run --release -- $(SCENARIOS) $(ARGS)

screenshots: ## the pictures in docs/images, by the test that plants ten incidents in the shop
	@.ci/setup postgres browser
	HAULAGE_PICTURES=docs/images cargo test --workspace --all-features --test incidents

lint: ## formatting and clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings

docs: ## the API documentation, in target/doc
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --all-features --no-deps

deny: ## licenses and sources of what we depend on
	cargo deny check licenses bans sources

setup: ## installs what is missing: Postgres, cargo-deny, what the tests use beside them
	@.ci/setup postgres python clients browser faketime pgbouncer promtool rotel schemathesis deny
