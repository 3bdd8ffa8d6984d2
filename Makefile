# Every target does its own set-up. Downloads are cached outside the checkout (pip's cache, ~/.cache/audit-operator).
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Byte code is kept, whatever the environment says: to compile tests and what they start anew takes a third of their time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-unit test-integration test-e2e check format bench crds docs lock assets image manifests clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(STAMP): requirements-dev.lock pyproject.toml
	@echo "==> installing the locked dependencies into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(STAMP) ## Install everything locked into .venv

assets: $(STAMP) ## Fetch or build etcd, kube-apiserver and kubectl
	@$(BIN)/python -m audit_operator.controlplane.assets

demo: $(STAMP) ## Run the main job on an embedded control plane (KEEP=1 leaves it running)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/audit-operator demo $(if $(KEEP),--keep)

test: export THOROUGH := 1
test: test-unit ## Run every test, random ones with all their examples
	@$(BIN)/python -m tests.integration.binaries
	@$(BIN)/python -m tests.e2e.node binaries
	@echo "==> both kinds of tests that wait more than they work, beside each other"
	@$(MAKE) --no-print-directory --jobs 2 beside-test-integration beside-test-e2e

# What is built is there by then: a build would starve the tests beside it. Lines say whose they are.
beside-%:
	@set -o pipefail; $(MAKE) --no-print-directory $* 2>&1 | sed --unbuffered 's/^/$*: /'

test-unit: $(STAMP) ## Run the tests that need no API server
	@$(BIN)/python -m pytest -m "not integration and not e2e" --ignore tests/integration --ignore tests/e2e \
		--numprocesses auto $(ARGS)

test-integration: $(STAMP) ## Run the tests against a real API server
	@$(BIN)/python -m tests.integration.binaries
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m "integration and not measurement" \
		--numprocesses 2 --dist loadfile $(ARGS)

test-e2e: $(STAMP) ## Run the tests on a real node (root; the first time 10 minutes more, for what it runs)
	@$(BIN)/python -m tests.e2e.node binaries
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m e2e $(ARGS)

check: $(STAMP) ## Lint, types, layers, drift of generated files
	@test ! -e operator/__init__.py || { echo "operator/__init__.py would shadow the standard library's operator module" >&2; exit 1; }
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m audit_operator.api.crd --check crds
	$(BIN)/python -m audit_operator.api.crd --check charts/audit-operator/files/crds
	$(BIN)/python -m tools.dashboard --check charts/audit-operator/files/dashboard.json
	$(BIN)/python -m tools.manifests --check manifests
	$(BIN)/python -m tools.reference --check docs/reference

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) assets ## Measure; docs/benchmarks.md says what the figures mean
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.benchmarks $(ARGS)

crds: $(STAMP) ## Generate crds/, and the chart's copy, from the models
	@$(BIN)/python -m audit_operator.api.crd --write crds
	@$(BIN)/python -m audit_operator.api.crd --write charts/audit-operator/files/crds

docs: $(STAMP) ## Write docs/reference and the schema of reports, from the models and the command line's parser
	@$(BIN)/python -m tools.reference --write docs/reference
	@$(BIN)/python -m audit_operator.report.schema > docs/report.schema.json

manifests: crds ## Lay out the chart's dashboard, and render the chart into manifests/
	@$(BIN)/python -m tools.dashboard --write charts/audit-operator/files/dashboard.json
	@$(BIN)/python -m tools.manifests --write manifests

image: $(STAMP) ## Build the container image, without a container engine, into build/
	@collector="$$($(BIN)/python -m audit_operator.controlplane.assets collector)" \
		&& $(BIN)/python -m tools.image.build --collector "$$collector/otelcol"

PIP_COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
lock: $(STAMP) ## Resolve the dependencies anew
	$(PIP_COMPILE) --extra dev --output-file requirements-dev.lock pyproject.toml
	$(PIP_COMPILE) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

clean: ## Remove what was made in the checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
