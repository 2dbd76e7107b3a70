# `make` lists the targets. Everything the project builds, checks and measures starts here.

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CACHE := $(or $(DAPR_RS_CACHE),$(HOME)/.cache/dapr-rs)
DENY := $(CACHE)/tools/bin/cargo-deny
DENY_VERSION := 0.20.2

# Every step selects the whole workspace, because another selection would
# build the dependencies a second time with other features.
.DEFAULT_GOAL := help
.PHONY: help build release demo test deps unit e2e fuzz bench startup lint fmt docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build every program (debug) into target/debug
	@echo "==> build"
	@$(CARGO) build --workspace --bins

release: ## build every program (optimised) into target/release
	@echo "==> build, optimised"
	@$(CARGO) build --workspace --bins --release

demo: build ## three small apps with their sidecars tell what works
	@examples/demo.sh $(TARGET_DIR)/debug

test: deps unit e2e ## run all tests; installs what they need first
	@scripts/report-skips.sh print

deps: # install the servers and languages that tests start
	@echo "==> test dependencies"
	@scripts/install-test-deps.sh
	@scripts/report-skips.sh clear

unit: # tests beside the code, and conformance of components
	@echo "==> build programs and tests"
	@$(CARGO) build --workspace --all-targets
	@echo "==> unit and conformance tests"
	@scripts/report-skips.sh run $(CARGO) test --workspace --exclude e2e

e2e: ## run the tests over real processes and official SDKs
	@echo "==> build programs and tests"
	@$(CARGO) build --workspace --all-targets
	@echo "==> end-to-end tests"
	@scripts/report-skips.sh run $(CARGO) test --workspace --test e2e

fuzz: ## throw FUZZ_CASES (default 200000) random inputs at every decoder
	@echo "==> fuzz"
	@$(CARGO) build --workspace --all-targets
	@PROPTEST_CASES=$(or $(FUZZ_CASES),200000) $(CARGO) test --workspace --test fuzz
	@$(CARGO) test --workspace --test e2e random_requests

bench: ## measure a release build; writes bench-results.md
	@echo "==> bench"
	@$(CARGO) build --workspace --bins --release
	@$(TARGET_DIR)/release/xtask bench

startup: ## find out again what the programs run at start; needs valgrind and redis-server
	@echo "==> startup"
	@$(CARGO) build --workspace --bins
	@$(TARGET_DIR)/debug/xtask startup

lint: ## check format, lints, dependencies and project rules
	@echo "==> format"
	@$(CARGO) fmt --all --check
	@echo "==> clippy"
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@echo "==> dependency rules"
	@test "$$($(DENY) --version 2>/dev/null)" = "cargo-deny $(DENY_VERSION)" \
		|| scripts/install-cargo-deny.sh $(CACHE)/tools $(DENY_VERSION)
	@$(DENY) --all-features check --hide-inclusion-graph bans licenses sources
	@echo "==> project rules and generated pages"
	@$(CARGO) build --workspace --all-targets
	@$(TARGET_DIR)/debug/xtask tidy
	@$(TARGET_DIR)/debug/xtask docs --check
	@$(TARGET_DIR)/debug/xtask crds --check

fmt: ## format all code
	@$(CARGO) fmt --all

docs: ## write the generated pages of docs/ and crds/
	@$(CARGO) build --workspace --bins
	@$(TARGET_DIR)/debug/xtask docs
	@$(TARGET_DIR)/debug/xtask crds
