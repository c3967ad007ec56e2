# Every command of daily work. The environment in .venv is made, and remade when what it is made from changes.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.stamp
.DEFAULT_GOAL := help
.PHONY: help setup demo test check coverage soak bench clean

# Both names of the constraint: pip before 25.3 reads the first one for isolated builds, later ones the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with pvload and its tools, at the pinned versions

$(STAMP): pyproject.toml constraints.txt hatch_build.py $(wildcard protos/*.proto)
	@test -x $(BIN)/pip || { \
	  for python in python3.11 python3.12 python3; do \
	    "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null || continue; \
	    found=$$python; \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null && exec "$$python" -m venv --clear $(VENV); \
	  done; \
	  if [ -n "$$found" ]; then echo "setup: $$found has no venv module: install the Debian package python3.11-venv" >&2; \
	  else echo "setup: no Python 3.11 or 3.12 found: install the Debian packages python3.11 and python3.11-venv" >&2; fi; \
	  exit 2; }
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## 20 s against the built-in simulator, with a verdict and a report
	$(BIN)/pvload run scenario-a --duration 20s

test: $(STAMP) ## unit and integration tests
	$(BIN)/python -m pytest -m "alone and not soak"
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not alone and not soak"

check: $(STAMP) ## format, lint, types, import direction: cheapest first, stops at the first failure
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(STAMP) ## the tests once more, measured in every process they start: at least 90 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "alone and not soak"
	$(BIN)/coverage run -m pytest -n 3 --dist worksteal -m "not alone and not soak"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --fail-under=90

soak: $(STAMP) ## the long tests
	$(BIN)/python -m pytest -m soak tests/soak tests/integration

bench: $(STAMP) ## what pvload itself can carry and what it costs
	$(BIN)/python -m bench

clean: ## remove the environment, generated code and caches; runs are kept
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -f pvload/_pb/*_pb2*
	find bench locustfiles pvload tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
