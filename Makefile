# modelwright: everything a contributor runs. `make demo` is the product; `make test` is the proof.
.DEFAULT_GOAL := help
PYTHON ?= python3
# Tests that run at a time; most of them wait for processes of their own.
JOBS ?= 3
BIN := .venv/bin

.PHONY: help lock setup demo test test-slow check bench bench-serving bench-features bench-loop docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The lock file carries hashes and no address, so it installs the same bytes from any mirror.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"modelwright needs Python 3.11 or newer; {sys.executable} is {v.major}.{v.minor}. Set PYTHON=python3.11 or newer.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --editable .
	$(BIN)/python -m modelwright.features.kernel & \
		$(BIN)/python -m modelwright.release.compiled && $(BIN)/python -m modelwright.optimize && wait $$!
	@touch $@

# PyTorch and Keras are no part of the lock: uv does not find PyTorch's build for machines without a GPU, pip does.
.venv/networks: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 keras==3.15.1
	@touch $@

setup: .venv/ready $(if $(filter required,$(MODELWRIGHT_SERVICES)),.venv/networks)  ## make .venv with everything, modelwright included

lock:  ## requirements.lock again, from pyproject.toml, with the newest versions that fit together
	$(BIN)/uv pip compile pyproject.toml --extra train --extra xgboost --extra catboost --extra grpc --extra nats --extra kafka --extra mqtt --extra otel --extra tune \
		--group dev --universal --generate-hashes --no-header --no-annotate --upgrade -o requirements.lock

demo: setup  ## a system that trains, serves, meets drift and repairs itself: http://127.0.0.1:8000/
	@$(BIN)/modelwright run examples/electricity/system.py --replay examples/electricity/data/elec2.parquet --from 0.2 --seconds 75 \
		|| { code=$$?; [ $$code -eq 130 ] || exit $$code; }

# What fails beside other tests is run once more alone: what it then is counts, and both are printed.
test: setup  ## the normal suite: unit, property, end to end, doctests
	@$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST) \
		|| { [ $$? -eq 1 ] && echo "make test: what failed beside other tests, once more and alone:" \
		&& $(BIN)/python -m pytest -m "not slow" --last-failed --last-failed-no-failures none --maxfail 3 $(PYTEST); }

test-slow: setup  ## the same promises, longer
	@HYPOTHESIS_PROFILE=slow $(BIN)/python -m pytest $(PYTEST)

check: setup  ## format, lint, types, ranks
	@$(BIN)/ruff format --check src tests benchmarks examples
	@$(BIN)/ruff check src tests benchmarks examples
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## our figures, with peers beside us on the same work
	@$(BIN)/python -m benchmarks serving imports

bench-serving: setup  ## serve, durable and with --no-log, beside LitServe, BentoML, MLServer, MLflow and FastAPI; installs them, minutes
	@$(BIN)/python -m benchmarks serving --part durable --part stateless --part grpc

bench-features: setup  ## history: offline beside DuckDB and a kernel by hand, beside Feast, and online; minutes
	@$(BIN)/python -m benchmarks features

bench-loop: setup  ## what the loop notices: drift beside river, Evidently and NannyML; installs them, minutes
	@$(BIN)/python -m benchmarks loop

docs: setup  ## what documents and docstrings claim in code, run
	@$(BIN)/python -m pytest tests/unit/test_readme.py src README.md

clean:  ## remove what setup and the tools made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
