# Verbs of the project. `make` alone prints them.
MAKEFLAGS += --no-builtin-rules --no-print-directory --warn-undefined-variables
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
UV_VERSION := 0.13.9
# Touched when the environment matches the lock; everything below depends on it.
READY := $(VENV)/.ready
ARGS ?=
SEEDS ?= 100
FIRST ?= 1

.PHONY: help setup up test slow crash chaos check bench formulas definitions lock docs clean

help: ## Print this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $$($(PYTHON) --version 2>&1) is too old: Python 3.11 or newer is needed."; \
	  echo "remedy: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setup: environment in $(VENV) from requirements.lock (about a minute the first time)"
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "error: $(PYTHON) cannot make a virtual environment."; \
	  echo "remedy: install its venv module (on Debian: apt-get install python3-venv) and run make again."; exit 1; }
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@# pip instead, where only pip is configured for the package index at hand.
	@$(RUN)/uv pip install --quiet --python $(RUN)/python --requirements requirements.lock \
	  || $(RUN)/python -m pip install --disable-pip-version-check --requirement requirements.lock
	@$(RUN)/uv pip install --quiet --python $(RUN)/python --no-deps --editable . \
	  || $(RUN)/python -m pip install --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(READY) ## Create the environment

up: $(READY) ## Start everything; Ctrl-C stops it (ARGS="--no-desk ..." is passed on)
	@exec $(RUN)/jangar-quant up $(ARGS)

test: $(READY) ## Run the tests (ARGS="-k name" is passed to pytest)
	@exec $(RUN)/python -m pytest $(ARGS)

slow: $(READY) ## Run the tests that take longer than `make test` can afford
	@exec $(RUN)/python -m pytest -m slow $(ARGS)

crash: $(READY) ## Kill mirror, warehouse and Postgres at random points (SEEDS=100 FIRST=1)
	@SEEDS=$(SEEDS) FIRST=$(FIRST) exec $(RUN)/python -m pytest -v -m slow tests/integration/mirror/test_crash.py $(ARGS)

chaos: $(READY) ## Stop one part of the pipeline at a time, see which alert opens; kill API and warehouse under load
	@exec $(RUN)/python -m pytest -n 0 -s -v -m "slow or not slow" tests/e2e/test_chaos.py tests/e2e/test_faults.py \
		-k "stands_still or is_killed" $(ARGS)

check: $(READY) ## Run every static gate and print a table
	@exec $(RUN)/python -m tests.check $(ARGS)

bench: $(READY) ## Measure, beside a peer or a baseline, and print tables
	@exec $(RUN)/python -m tests.bench $(ARGS)

formulas: $(READY) ## Note the SQL of every metric under its formula_version
	@exec $(RUN)/python -m orchestration.transform.formulas --write

definitions: $(READY) ## Note what Dagster is given, for a review
	@exec $(RUN)/python -m orchestration.defs.snapshot --write

lock: $(READY) ## Resolve requirements.lock anew from pyproject.toml
	@$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev \
	  --no-annotate --no-header --upgrade pyproject.toml --output-file requirements.lock

docs: $(READY) ## Regenerate the generated pages of docs/
	@$(RUN)/jangar-quant settings --markdown > docs/settings.md
	@$(RUN)/python -m orchestration.transform.dictionary
	@$(RUN)/python -m api.description > docs/openapi.json

clean: ## Remove the environment and caches (the state directory .jangar-quant stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis target logs *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
