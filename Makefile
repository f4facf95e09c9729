# Everything a developer does. `make` alone lists it.

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
# As pip does: uv's own list knows no authority that a company has added to the machine.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help setup demo airflow test test-browser pictures test-crash test-model test-matrix lowest bench docs requirements audit clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | expand -t 14

setup: ## make or refresh .venv (the others do it themselves); PYTHON=python3.12 picks another Python
	@$(PYTHON) -m dev.bootstrap

demo: setup ## a real Airflow reruns an order and waits for the new result; about a minute
	@exec $(VENV_PYTHON) -m dev.demo

airflow: setup ## Airflow and the sandbox to play with, until Ctrl-C
	@exec $(VENV_PYTHON) -m dev.playground

test: setup ## lint, types, docs, unit, model, integration, e2e, browser, kills, wheel, oldest; PART=unit runs one; ARGS='-k word' goes to pytest
	@exec $(VENV_PYTHON) -m dev.run_tests

test-browser: setup ## the UI of a real Airflow in a headless Chromium, which has to be installed, all of it; about three minutes
	@PART=browser exec $(VENV_PYTHON) -m dev.run_tests

pictures: setup ## the same, and takes the pictures of the documentation anew
	@PART=browser ARGS="--pictures=docs/pictures $(ARGS)" exec $(VENV_PYTHON) -m dev.run_tests

test-crash: setup ## kill the processes of reruns and evaluations at every point, and lose their answers; about ten minutes; prints a matrix
	@exec $(VENV_PYTHON) -m pytest tests/crash $(ARGS)

test-model: STORIES ?= 5000
test-model: SEED := $(or $(SEED),$(shell date +%s))
test-model: setup ## random stories of paid tasks against a model that knows the truth; STORIES=10000 SEED=7 choose; about five minutes
	@STORIES=$(STORIES) SEED=$(SEED) exec $(VENV_PYTHON) -m pytest tests/model -n logical --maxprocesses 4 --dist worksteal $(ARGS)

test-matrix: setup ## the tests on each supported Airflow and Python; ONLY=3.1.8-py3.11 chooses; about 15 minutes
	@exec $(VENV_PYTHON) -m dev.matrix

lowest: setup ## the unit tests on the oldest versions that pyproject.toml allows; about three minutes
	@exec $(VENV_PYTHON) -m dev.lowest

bench: setup ## measure what waiting and delivering cost, beside other clients; writes benchmarks/results.md; about 12 minutes
	@$(VENV_PYTHON) -m benchmarks.environment
	@exec .airflow/benchmarks/bin/python -m benchmarks $(ARGS)

docs: setup ## build the documentation in docs/_build/html
	@exec $(VENV_PYTHON) -m dev.docs

requirements: setup ## pin the newest versions that pyproject.toml allows in dev/requirements.txt
	@.venv/bin/uv pip compile --quiet --universal --upgrade --no-header --no-annotate pyproject.toml --group dev -o dev/requirements.txt

audit: setup ## look the pinned versions up in the database of known vulnerabilities; needs the network
	@.venv/bin/uv tool run --python $(VENV_PYTHON) $$(grep pip-audit dev/tools.txt) --strict --no-deps --disable-pip -r dev/requirements.txt

clean: ## remove .venv and everything else that was made here
	@rm -rf .venv .airflow .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build docs/_build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
