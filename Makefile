# Everything that is needed is set up by the target that needs it: Python >= 3.11 with venv, and make, are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	|| sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/run ## Serve on http://127.0.0.1:8000, with an embedded database unless DATABASE_URL is set
	@echo "Starting the service. The first start also makes the database, which takes some seconds."
	@exec $(BIN)/python -m app serve

.PHONY: test
test: $(VENV)/dev ## Run the suite on a real PostgreSQL that it starts itself
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not recovery and not faults and not fuzz"

.PHONY: recovery
recovery: $(VENV)/dev ## Kill the service and its embedded database in every way, and see them come back
	$(BIN)/python -m pytest -n 2 --dist load -m recovery

.PHONY: fuzz
fuzz: $(VENV)/dev ## Ask every operation everything that the OpenAPI document allows, and what it does not
	$(BIN)/python -m pytest -n 2 --dist load -m fuzz

SCALE ?= 1

.PHONY: faults
faults: $(VENV)/dev ## Kill, freeze and starve the workers, and see that no page is lost; SCALE=0.05 is the short way
	$(BIN)/python -m tests.faults --scale $(SCALE)

.PHONY: mutants
mutants: $(VENV)/dev ## Break the code on purpose, in hundreds of ways, and see the tests notice (hours)
	$(BIN)/python -m tests.mutants

.PHONY: check
check: $(VENV)/dev ## Lint, types, sizes, import direction, and migrations against models
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lizard --languages python --warnings_only --length 40 --CCN 1000 --arguments 1000 app
	$(BIN)/pylint --score no app
	@directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT && export DATA_DIR=$$directory DATABASE_URL= \
	&& $(BIN)/alembic upgrade head && $(BIN)/alembic check

.PHONY: bench
bench: $(VENV)/dev ## Measure the service beside a naive one and PostgreSQL alone; QUICK=1 is the short way
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

.PHONY: bench-templates
bench-templates: $(VENV)/dev ## Measure the message templates that take longest
	$(BIN)/python -m benchmarks.render_templates

.PHONY: requirements
requirements: $(VENV)/dev ## Pin the newest versions of all dependencies
	$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header \
		--allow-unsafe --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

.PHONY: clean
clean: ## Remove the virtual environment; the data under var/ stays
	rm -rf $(VENV)

$(VENV)/bin/python:
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements.txt | $(VENV)/bin/python
	@echo "Installing the service's requirements into $(VENV). This takes a minute or two, once."
	@$(BIN)/python -m pip install --requirement requirements.txt
	@touch $@

$(VENV)/dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing the requirements for development into $(VENV). This takes some minutes, once."
	@$(BIN)/python -m pip install --requirement requirements.txt --requirement requirements-dev.txt
	@touch $(VENV)/run $@
