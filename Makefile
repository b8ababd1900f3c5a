# Needs Python 3.11 to 3.13 and Java 17 or newer; everything else goes into .venv and the user's cache.
.PHONY: help setup demo test faults lint bench clean
.DEFAULT_GOAL := help

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2> /dev/null; then echo $$python; break; fi; done)
endif
BIN := .venv/bin
STAMP := .venv/.set-up

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with the neardup command and fetch the jars, unless that is done

demo: setup  ## real pictures through the whole system; writes demo/report.html
	$(BIN)/neardup demo

test: lint  ## lint, then every test
	$(BIN)/pytest

faults: setup  ## kill, cut off, replay: every fault and what the tables are afterwards (an hour)
	mkdir -p build
	NEARDUP_FAULTS_JSON=build/faults.json $(BIN)/pytest tests/faults -m "path or faults"
	$(BIN)/python -m tests.faults.report build/faults.json

lint: setup  ## ruff, mypy --strict and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## ten minutes of benchmarks; says what got worse since the recorded results
	mkdir -p build
	for name in smoke commits stream; do \
		$(BIN)/neardup bench $$name --quick --compare --json build/bench.json || exit 1; done

clean:  ## remove .venv, caches and what the demo wrote; the jars stay in the user's cache
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf demo/run demo/report.html demo/summary.json

$(STAMP): pyproject.toml requirements.lock infra/jars.lock.json
	@sh infra/prerequisites.sh "$(PYTHON)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing Python packages into .venv (a minute or two)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	$(BIN)/neardup jars
	@touch $@
