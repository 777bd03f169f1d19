# Targets are listed by `make`. Works with GNU Make from 3.81 (macOS) up.

VENV ?= .venv
PORT ?= 8000
BIN := $(VENV)/bin
# Absolute, for what runs in another directory.
RUN := $(abspath $(BIN))/python

# Built code goes into the environment of VENV, also when another one is active.
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(RUN)
# Values from the outside must not reach the tests.
unexport PYTHONHOME
unexport DJANGO_SETTINGS_MODULE

INSTALLED := $(VENV)/.installed
BUILT := $(VENV)/.built
# Tests of what a server does under load, which need the machine for themselves.
ALONE := tests/attacks tests/churn
RUST_SOURCES = $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml $(wildcard Cargo.lock)

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' \
		| awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'

# --- environment and build ---------------------------------------------------------------------------------

.PHONY: venv
venv: $(INSTALLED)  ## Create the environment in .venv (PYTHON= names another Python)

$(INSTALLED): pyproject.toml scripts/requirements.py
	@if ! test -x $(BIN)/python; then \
		python="$${PYTHON:-$$(scripts/find-python)}" && echo "Creating $(VENV) with $$python" \
		&& { "$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }; \
	fi
	@echo "Installing the development environment into $(VENV)"
	@$(BIN)/python scripts/requirements.py test bench dev > $(VENV)/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	@touch $@

.PHONY: build
build: $(BUILT)  ## Build the native core into the environment

$(BUILT): $(INSTALLED) $(RUST_SOURCES)
	@command -v cargo >/dev/null || { \
		echo "Rust is missing: install 1.85 or later with rustup (https://rustup.rs) or your system's packages." >&2; \
		exit 1; }
	PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/maturin develop --release --quiet
	@touch $@

# --- use -----------------------------------------------------------------------------------------------------

.PHONY: demo
demo: build  ## Serve the example site on 127.0.0.1:8000 (PORT= another port); Ctrl-C stops it
	@cd examples/chat && $(RUN) manage.py migrate --verbosity 0 && $(RUN) manage.py seed_demo \
		&& exec $(RUN) manage.py runbolt 127.0.0.1:$(PORT) --workers 2

.PHONY: test
test: build  ## Run every test
	cargo test --quiet -p django-bolt-protocol
	cd examples/chat && $(RUN) -W error::RuntimeWarning manage.py test --verbosity 1
	$(BIN)/python -m pytest $(ALONE)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ALONE:%=--ignore=%)

.PHONY: test-all-pythons
test-all-pythons:  ## Run every test on each Python from 3.11 up that is found, pyenv's included
	@scripts/find-python --all | while read -r version path; do \
		echo "=== Python $$version ($$path)"; \
		PYTHON="$$path" $(MAKE) --no-print-directory test VENV=.venvs/$$version < /dev/null || exit 1; \
	done

.PHONY: compliance
compliance: build  ## Run Autobahn's 517 cases against a live server (CASES= names some)
	$(BIN)/python -m compliance.run $(CASES)

.PHONY: compliance-quick
compliance-quick: build  ## Run most of Autobahn's cases, within a minute or two
	$(BIN)/python -m compliance.run --quick

.PHONY: memcheck
memcheck: build  ## Run the native core under valgrind
	scripts/memcheck $(BIN)/python

.PHONY: fuzz
fuzz:  ## Fuzz the protocol crate (FUZZ_SECONDS= for each target, 30 by default)
	fuzz/run $(or $(FUZZ_SECONDS),30)

.PHONY: fuzz-quick
fuzz-quick:  ## Fuzz the protocol crate for a moment, as CI does
	fuzz/run 3

.PHONY: churn
churn: build  ## Let thousands of clients come, misbehave and go for three minutes (CHURN_SECONDS= others)
	$(BIN)/python -m tests.churn.run --seconds $(or $(CHURN_SECONDS),180)

.PHONY: slow-clients
slow-clients: build  ## Show that clients that never read slow nobody else
	$(BIN)/python -m tests.attacks.slow_clients

.PHONY: bench
bench: build  ## Compare with the main other servers, within five minutes (see benchmarks/README.md)
	$(BIN)/python benchmarks/compare.py --rounds 1 --seconds 2 --warmup 0.5 --output benchmarks/results/short.json
	$(BIN)/python benchmarks/report.py benchmarks/results/short.json --output benchmarks/results/SHORT.md

.PHONY: bench-targets
bench-targets: build  ## Compare with the servers, and in the scenarios, of the targets; takes half an hour
	$(BIN)/python benchmarks/compare.py --servers targets --scenarios targets --rounds 5 \
		--seconds 3 --warmup 0.5 --output benchmarks/results/targets.json
	$(BIN)/python benchmarks/report.py benchmarks/results/targets.json --output benchmarks/results/TARGETS.md

.PHONY: bench-all
bench-all: build  ## Compare with all servers in all scenarios and write the report; takes hours (ROUNDS=3 SECONDS_EACH=3)
	$(BIN)/python benchmarks/compare.py --servers all --scenarios all --rounds $(or $(ROUNDS),3) \
		--seconds $(or $(SECONDS_EACH),3) --warmup 0.5 --repeats 1 --output benchmarks/results/all.json
	$(BIN)/python benchmarks/report.py benchmarks/results/all.json

.PHONY: bench-instructions
bench-instructions: build  ## Count the instructions of single operations under valgrind, and compare with bounds
	$(BIN)/python benchmarks/micro/instructions.py

.PHONY: docs
docs: build  ## Write the generated tables and the documentation into site/
	$(BIN)/python scripts/settings_table.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# --- checks --------------------------------------------------------------------------------------------------

.PHONY: check
check: check-format check-lint check-types check-stubs check-layers check-rust check-docs  ## Check format, lint, types, stubs, layers and documentation

.PHONY: format
format: $(INSTALLED)  ## Format Python and Rust, and fix what ruff can fix
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

.PHONY: check-format
check-format: $(INSTALLED)
	$(BIN)/ruff format --check .
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

.PHONY: check-lint
check-lint: $(INSTALLED)
	$(BIN)/ruff check .

.PHONY: check-types
check-types: build
	$(BIN)/mypy

.PHONY: check-stubs
check-stubs: build
	MYPYPATH=python $(BIN)/stubtest django_bolt._core --allowlist scripts/stubtest-allowlist.txt

.PHONY: check-layers
check-layers: build
	$(BIN)/lint-imports --no-logo

.PHONY: check-rust
check-rust: $(INSTALLED)
	cargo clippy --workspace --all-targets --quiet -- -D warnings

.PHONY: check-docs
check-docs: build
	$(BIN)/python scripts/settings_table.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# --- housekeeping ----------------------------------------------------------------------------------------------

.PHONY: clean
clean:  ## Remove the environments and everything that was built
	rm -rf .venv .venvs benchmarks/.venvs target fuzz/target site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -f python/django_bolt/_core*.so examples/chat/db.sqlite3
	find python tests scripts benchmarks examples compliance -name __pycache__ -type d -prune -exec rm -rf {} +
