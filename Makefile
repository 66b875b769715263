# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
BUILD  := .build
VENV   := .venv
BIN    := $(VENV)/bin
LINK   := $(BUILD)/ansible_collections/xapi/xenserver

# What mypy checks, by package name: the code through the link, the tests' own packages as they import each other.
TYPED  := -p ansible_collections.xapi.xenserver.plugins -p ansible_collections.xapi.xenserver.tests.unit \
          -p ansible_collections.xapi.xenserver.tests.integration \
          -p ansible_collections.xapi.xenserver.tests.strangers \
          $(foreach package,simulator conformance demo bench sweep,$(if $(wildcard tests/$(package)/*.py),-p $(package)))

# Ansible refuses to start in another encoding, and a bare container has none.
export LC_ALL := C.UTF-8
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A play and a test run start dozens of simulators, which would each be compiled anew where the environment forbids Python to keep what it
# compiled, as images of containers do.
test demo molecule sweep: export PYTHONDONTWRITEBYTECODE :=
test demo molecule sweep: export PYTHONPYCACHEPREFIX := $(CURDIR)/$(BUILD)/bytecode

.DEFAULT_GOAL := help
.PHONY: help setup demo test molecule lint sanity conformance docs bench sweep simulator clean

help: ## Show this help
	@echo 'xapi.xenserver: make <target>; each sets itself up in .venv'
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 16

demo: $(VENV)/made-demo $(LINK) ## Watch a VM being built from a disk image on a simulated pool
	@$(BIN)/python tests/demo

test: $(VENV)/made-test $(LINK) ## Run unit tests, conformance, and the modules through Ansible over TLS
	@$(BIN)/python tests/strangers/install.py
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

# Molecule keeps its files below ANSIBLE_HOME. A run that was killed left its pool and a note that there is one, hence destroy first.
molecule: $(VENV)/made-molecule $(LINK) ## Build with each role on a simulated pool, repeat it, verify (MOLECULE='converge -s spawn')
	@$(if $(MOLECULE),,ANSIBLE_HOME=$(CURDIR)/$(BUILD)/ansible $(BIN)/molecule destroy)
	@ANSIBLE_HOME=$(CURDIR)/$(BUILD)/ansible $(BIN)/molecule $(or $(MOLECULE),test --all)

lint: $(VENV)/made-lint $(LINK) ## Check style, types, playbooks and the change log
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/yamllint --strict .
	$(BIN)/antsibull-changelog lint
	$(BIN)/ansible-lint --offline --profile production --strict

sanity: $(VENV)/made-lint ## Run ansible-test sanity
	@$(BIN)/python tests/sanity/run.py $(SANITY)

conformance: $(VENV)/made-demo ## Replay the recordings of a real xapi (RECORDINGS=DIR for other ones)
	@$(BIN)/python tests/conformance $(RECORDINGS)

docs: $(VENV)/made-docs $(LINK) ## Write a page for each module into .build/docs
	@rm -rf $(BUILD)/docs && mkdir -p $(BUILD)/docs
	@$(BIN)/antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --output-format simplified-rst \
		--dest-dir $(BUILD)/docs xapi.xenserver
	@echo 'The pages are in $(BUILD)/docs'

bench: $(VENV)/made-test $(LINK) ## Measure speed
	@$(BIN)/python tests/bench

sweep: $(VENV)/made-test $(LINK) ## Disturb spawn and destroy at every call they make (SWEEP='fault cut destroy kill two --sample 10')
	@$(BIN)/python tests/sweep $(SWEEP)

simulator: $(VENV)/made-demo ## Serve a simulated pool until Ctrl-C (WORLD=three_hosts, PORT=8443)
	@$(BIN)/python tests/simulator --world $(or $(WORLD),three_hosts) --port $(or $(PORT),8443)

setup: $(VENV)/made-lint $(LINK) ## Set .venv up for everything, to run playbooks and editors from here

clean: ## Remove .venv, .build and what the tools left
	@rm -rf $(VENV) $(BUILD) .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment is made once, and each purpose installs into it when a requirements file is newer than its stamp.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) is missing or older than 3.11: apt-get install python3, or name another one with PYTHON=' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo '$(PYTHON) cannot make virtual environments: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/made-%: requirements/%.txt $(wildcard requirements/*.txt) | $(VENV)/bin/python
	@echo 'Installing requirements/$*.txt into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Python and Ansible find the collection by a path that ends in ansible_collections/xapi/xenserver, wherever the clone lies.
$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../.. $@
