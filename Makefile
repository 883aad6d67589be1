# Each target sets up what it needs. You only need Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Compiled code is kept, so that the workers of the tests and the next run need not compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	|| sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/run ## Serve on http://127.0.0.1:8000, with an embedded database unless DATABASE_URL is set
	@echo "Starting the service. The first start also creates the database, which takes a few seconds."
	@exec $(BIN)/python -m app serve

.PHONY: test
test: $(VENV)/dev ## Run the tests on a real PostgreSQL that they start themselves
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow and not e2e and not recovery and not faults and not fuzz"

.PHONY: slow
slow: $(VENV)/dev ## Run the tests that wait for real time, start processes of their own, or try very many cases
	$(BIN)/python -m pytest -n 3 --dist load -m slow

.PHONY: e2e
e2e: $(VENV)/dev ## Run the service as its users do: in a browser, by its commands, by run_e2e_tests.py
	$(BIN)/python -m pytest -n 3 --dist load -m e2e

.PHONY: recovery
recovery: $(VENV)/dev ## Kill the service and its embedded database in every way, and check that they recover
	$(BIN)/python -m pytest -n 2 --dist load -m recovery

.PHONY: fuzz
fuzz: $(VENV)/dev ## Fuzz every operation with input that the OpenAPI document allows, and input that it does not
	$(BIN)/python -m pytest -n 2 --dist load -m fuzz

SCALE ?= 1

.PHONY: faults
faults: $(VENV)/dev ## Kill, freeze and starve the workers, and check that no page is lost; SCALE=0.05 is the short run
	$(BIN)/python -m tests.faults --scale $(SCALE)

.PHONY: mutants
mutants: $(VENV)/dev ## Break the code on purpose in hundreds of ways, and check that the tests notice (deciders: 20 minutes)
	$(BIN)/python -m tests.mutants

.PHONY: check
check: $(VENV)/dev ## Check lint, types, sizes, import direction, and migrations against models
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lizard --languages python --warnings_only --length 40 --CCN 1000 --arguments 1000 app
	$(BIN)/pylint --score no app
	@directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT && export DATA_DIR=$$directory DATABASE_URL= \
	&& $(BIN)/alembic upgrade head && $(BIN)/alembic check

.PHONY: bench
bench: $(VENV)/dev ## Measure the service next to a naive one and PostgreSQL alone; QUICK=1 is the short run
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

SIZE ?= 100000
GROWN ?= 1000000

.PHONY: seed
seed: $(VENV)/dev ## Fill an empty database with SIZE incidents and their record, to see how the service grows
	$(BIN)/python -m benchmarks.seed --size $(SIZE)

.PHONY: growth
growth: $(VENV)/dev ## Compare a database of 1,000 incidents with one of GROWN (1,000,000 by default: 5 minutes, 4 GB)
	$(BIN)/python -m benchmarks.growth --large $(GROWN)

MINUTES ?= 60

.PHONY: churn
churn: $(VENV)/dev ## Work for MINUTES (an hour by default), and show the memory and what updates leave in the tables
	$(BIN)/python -m benchmarks.churn --minutes $(MINUTES)

.PHONY: bench-templates
bench-templates: $(VENV)/dev ## Time the slowest message templates
	$(BIN)/python -m benchmarks.render_templates

.PHONY: requirements
requirements: $(VENV)/dev ## Pin the newest versions of all dependencies, with their hashes
	$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--generate-hashes --allow-unsafe --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--generate-hashes --allow-unsafe --extra opentelemetry --constraint requirements.txt \
		--output-file requirements-opentelemetry.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--generate-hashes --allow-unsafe --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

.PHONY: clean
clean: ## Remove the virtual environment; the data under var/ stays
	rm -rf $(VENV)

$(VENV)/bin/python:
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements.txt | $(VENV)/bin/python
	@echo "Installing the service's requirements into $(VENV). This takes a minute or two, but only once."
	@$(BIN)/python -m pip install --require-hashes --requirement requirements.txt
	@touch $@

$(VENV)/dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing the development requirements into $(VENV). This takes a few minutes, but only once."
	@$(BIN)/python -m pip install --require-hashes --requirement requirements.txt --requirement requirements-dev.txt
	@touch $(VENV)/run $@
