# Everything from a fresh clone: `make run` serves the app, `make test` runs the tests. `make help` lists the rest.

PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
OUT ?= runs/train

.DEFAULT_GOAL := help
.PHONY: help setup run test lint demo demo-pacs demo-cluster wheelhouse bench train figures pictures lock

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(READY)  ## Make .venv from requirements.lock, with the project itself in editable form

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: There is no Python 3.11, 3.12 or 3.13 on PATH. Install one, or pass PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null 2>&1; then uv pip install --python $(PY) --require-hashes -r requirements.lock; \
	else $(PY) -m pip install --quiet --disable-pip-version-check uv && $(VENV)/bin/uv pip install --python $(PY) --require-hashes -r requirements.lock; fi
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: setup  ## Serve the app at http://127.0.0.1:7860 (MODEL=... for another model)
	$(PY) app.py

test: setup  ## Run the tests
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: setup  ## Check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

demo: setup  ## The whole way on phantoms, offline: train, publish to a local Hub, pull, serve (DEMO="--end" closes the app)
	$(PY) tests/hub_demo.py $(DEMO)

demo-pacs: setup  ## Ten studies of phantoms into an Orthanc, scored, and ten structured reports in it
	PYTHONPATH=. $(PY) tests/pacs_demo.py

demo-cluster: setup  ## 2,000 phantoms by Ray on this machine, a worker and the command killed on the way
	PYTHONPATH=. $(PY) tests/cluster_demo.py $(ARGS)

wheelhouse: setup  ## Collect in OUT=... what a machine without a network needs to install (see docs/deploy.md)
	sh deploy/wheelhouse.sh $(if $(filter-out runs/train,$(OUT)),$(OUT),runs/wheelhouse) $(PY)

train: setup  ## Train into OUT=runs/train on DATA=... (default: the data set on the Hub; ARGS="--epochs 5" for more)
	$(PY) -m trainer train --out $(OUT) $(if $(DATA),--data $(DATA)) $(ARGS)

bench: setup  ## Measure ours, the naive way and an empty app side by side (ARGS=--quick for a short run)
	$(PY) -m benchmarks $(ARGS)

figures: setup  ## Write the figures of bundles/default into the READMEs
	$(PY) -m benchmarks.readme

pictures: setup  ## Take the pictures of the page in docs/ anew (Chromium on PATH; the model's examples are phantoms)
	$(PY) docs/screenshots.py $(ARGS)

lock: setup  ## Write requirements.lock anew from pyproject.toml
	$(VENV)/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet --output-file requirements.lock
