# Everything a developer does. `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
# As pip does: uv's own list knows no authority that a company has added to the machine.
export UV_SYSTEM_CERTS ?= true
export ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo airflow test pictures test-browser test-crash test-azure test-model test-matrix lowest bench requirements audit clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | expand -t 14

# Read by any Python, so that one that is too old still says so.
setup: ## make .venv or bring it up to date (the others do it themselves); PYTHON=python3.12 picks another Python
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; %s is %s. Name a newer one, for example: PYTHON=python3.12 make demo" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m dev.bootstrap

demo: setup ## a real Airflow reruns an order and waits for the new result; about a minute
	@exec $(BIN)/python -m dev.demo

airflow: setup ## Airflow and the sandbox to play with, until Ctrl-C
	@exec $(BIN)/python -m dev.playground

# --- The parts of `make test` -----------------------------------------------------------------------------------------

# Two run at a time, in this order: a whole Airflow waits for most of its time, and the integration tests take what it
# leaves. What runs under `nice` gives way: an Airflow is sensitive to who takes the processors away.
PARTS := e2e integration kills browser unit types oldest wheel model docs lint
.PHONY: $(PARTS)
$(PARTS): setup

RUN = exec $(BIN)/python -m dev.part $@
QUIETLY = exec nice -n 15 $(BIN)/python -m dev.part $@
PYTEST = $(BIN)/python -m pytest
# As many tests at a time as there are processors, where none needs what is there only once.
PARALLEL = -n logical --maxprocesses 4 --dist worksteal
CHROMIUM = $(firstword $(foreach name,chromium google-chrome google-chrome-stable chromium-browser,$(shell command -v $(name))))

test: setup ## all parts: lint, types, docs, unit, model, integration, e2e, browser, kills, wheel, oldest; PART=unit runs one; ARGS='-k word' goes to pytest
	$(if $(filter-out $(PARTS),$(PART)),$(error There is no part '$(PART)'; there are $(PARTS)))
	@rm -rf .airflow/parts
	@$(MAKE) --no-print-directory --keep-going $(if $(PART),,-j2 --output-sync=target) $(or $(PART),$(PARTS)); \
	$(BIN)/python -m dev.part --summary $(or $(PART),$(PARTS))

lint:
	@$(QUIETLY) sh -c '$(BIN)/ruff check && $(BIN)/ruff format --check'

types:
	@$(QUIETLY) $(BIN)/mypy

docs: ## build the documentation in docs/_build/html
	@$(QUIETLY) env AIRFLOW_HOME='$(CURDIR)/.airflow/docs' AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR $(BIN)/sphinx-build -q -W --keep-going -E -b html docs docs/_build/html

unit:
	@$(QUIETLY) $(PYTEST) tests/unit $(ARGS)

# `make test-model` runs many more scenarios.
model:
	@$(QUIETLY) $(PYTEST) tests/model $(ARGS)

integration:
	@$(QUIETLY) $(PYTEST) tests/integration $(PARALLEL) $(ARGS)

e2e:
	@$(RUN) $(PYTEST) tests/e2e $(ARGS)

# Few of them in `make test`, all of them where they are asked for.
browser:
ifeq ($(CHROMIUM),)
	@$(RUN) --not-run 'no Chromium (apt-get install chromium)'
else
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraints dev/requirements.txt --group browser
	@CHROMIUM=$(CHROMIUM) $(RUN) $(PYTEST) tests/browser $(if $(PART),,-m telling) $(ARGS)
endif

# `make test-crash` plays the whole matrix.
kills:
	@$(RUN) $(PYTEST) tests/crash/test_matrix.py tests/crash/test_evaluate.py -m telling $(ARGS)

wheel:
	@$(QUIETLY) $(PYTEST) tests/package $(ARGS)

# `make test-matrix` runs all versions.
oldest:
	@$(QUIETLY) $(BIN)/nox -s oldest -- $(ARGS)

# --- What takes long --------------------------------------------------------------------------------------------------

test-browser: ## the UI of a real Airflow in a headless Chromium, which has to be installed, all of it; about three minutes
	@$(MAKE) --no-print-directory test PART=browser

pictures: ## the same, and takes the pictures of the documentation anew
	@$(MAKE) --no-print-directory test PART=browser ARGS="--pictures=docs/pictures $(ARGS)"

test-crash: setup ## kill the processes of all that is paid for at every point, and lose its answers; about half an hour; prints matrices
	@exec $(PYTEST) tests/crash $(ARGS)

test-azure: setup ## deliver to Azurite, which speaks Azure's API: needs node and npm, which install it; about two minutes
	@$(BIN)/python -m dev.azurite
	@exec $(PYTEST) tests/azurite $(ARGS)

test-model: SCENARIOS ?= 5000
test-model: SEED := $(or $(SEED),$(shell date +%s))
test-model: setup ## random scenarios of paid tasks against a model that knows the truth; SCENARIOS=10000 SEED=7 choose; about five minutes
	@SCENARIOS=$(SCENARIOS) SEED=$(SEED) exec $(PYTEST) tests/model $(PARALLEL) $(ARGS)

test-matrix: setup ## the tests on each supported Airflow and Python; ONLY=3.1.8-py3.11 or ONLY=py3.12 chooses; about 20 minutes
	@ONLY='$(ONLY)' exec $(BIN)/nox -s matrix $(if $(ONLY),-t $(ONLY)) -- $(ARGS)

lowest: setup ## the unit tests on the oldest versions that pyproject.toml allows; about three minutes
	@exec $(BIN)/nox -s lowest -- $(ARGS)

bench: setup ## measure what waiting and delivering cost, beside other clients; writes benchmarks/results.md; about 12 minutes
	@$(BIN)/python -m benchmarks.environment
	@exec .airflow/benchmarks/bin/python -m benchmarks $(ARGS)

requirements: setup ## pin the newest versions that pyproject.toml allows in dev/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate pyproject.toml --group dev --group browser -o dev/requirements.txt

audit: setup ## look the pinned versions up in the database of known vulnerabilities; needs the network
	@$(BIN)/uv tool run --python $(BIN)/python pip-audit==2.10.1 --strict --no-deps --disable-pip -r dev/requirements.txt

clean: ## remove .venv and everything else that was made here
	@rm -rf .venv .airflow .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build docs/_build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
