# Everything a developer does. `make` alone lists it.

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo airflow test requirements clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1	/p' Makefile | expand -t 14

setup: ## make or refresh .venv (the others do it themselves); PYTHON=python3.12 picks another Python
	@$(PYTHON) -m dev.bootstrap

demo: setup ## a real Airflow reruns an order and waits for the new result; about a minute
	@exec $(VENV_PYTHON) -m dev.demo

airflow: setup ## Airflow and the sandbox to play with, until Ctrl-C
	@exec $(VENV_PYTHON) -m dev.playground

test: setup ## lint, types, unit, integration, e2e; PART=unit runs one; ARGS='-k word' goes to pytest
	@exec $(VENV_PYTHON) -m dev.run_tests

requirements: setup ## pin the newest versions that pyproject.toml allows in dev/requirements.txt
	@.venv/bin/uv pip compile --quiet --universal --upgrade --no-header --no-annotate pyproject.toml --group dev -o dev/requirements.txt

clean: ## remove .venv and everything else that was made here
	@rm -rf .venv .airflow .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
