# Everything happens in .venv. Needed: Python 3.11 or newer with venv, make, a C compiler.
#
#   PYTHON    the interpreter that makes the environment          (python3)
#   PIP_ARGS  more words for `pip install`: an index with CPU-only or GPU builds of torch, a proxy, a wheel folder
#   ARGS      more words for pytest, the demo or the benchmarks   (make test ARGS="-k heun")

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.ready
TORCH := $(shell grep '^torch==' requirements.lock)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input $(PIP_ARGS)
# The suite runs two workers; more than one thread each would only make them wait for one another.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help env demo test lint format types docs-test bench bench-all clean distclean

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

env: $(STAMP) ## the environment in .venv, with the versions of requirements.lock

$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "error: no '$(PYTHON)' here; install Python 3.11 or newer, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed; $(PYTHON) is %d.%d. Say where a newer one is: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; install it (Debian, Ubuntu: the package python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/pip || { echo "Making the environment in .venv"; $(PYTHON) -m venv .venv; }
	@$(PIP) --constraint requirements.lock pip
	@echo "Installing $(TORCH) (the largest download)"
	@$(PIP) --constraint requirements.lock $(TORCH)
	@echo "Installing the rest of requirements.lock"
	@$(PIP) --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

demo: env ## train, sample and measure in under ten minutes; prints where the pictures are
	@$(BIN)/ornstein demo $(ARGS)

test: env ## the fast suite (under 12 minutes on 2 cores)
	$(ONE_THREAD) $(BIN)/python -m pytest -m "not slow and not docs" -n 2 --dist worksteal $(ARGS)

lint: env ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env ## let ruff mend and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: env ## mypy, strict on core, processes and samplers
	$(BIN)/mypy

docs-test: env ## run the examples of the documentation
	$(ONE_THREAD) $(BIN)/python -m pytest -m docs -n 2 --dist worksteal tests/house $(ARGS)

bench: env ## compare speed with what was recorded: ratios to a peer's in one run (3 minutes, an idle machine)
	$(BIN)/python benchmarks/guard.py $(ARGS)

bench-all: env ## run all scripts of benchmarks/; each writes its CSV (hours)
	@set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script $(ARGS); done

clean: ## remove caches and build output, keep .venv and runs
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	rm -rf .venv
