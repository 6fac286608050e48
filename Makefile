# Two commands do all the set-up: `make demo` and `make test` (as root: the lab is
# made of containers, mounts and a bridge).
SHELL := /bin/bash -eo pipefail
.DEFAULT_GOAL := help
BIN := .venv/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: root
root:
	@test "$$(id -u)" = 0 || { echo "The lab needs root (containers, mounts, a bridge): sudo make $(MAKECMDGOALS)"; exit 1; }

# python3 -m venv needs the distribution's python3-venv, which a bare Debian lacks.
.venv/made: requirements.txt
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -q && apt-get install -qy python3-venv; }
	python3 -m venv .venv
	$(BIN)/pip install -q -r requirements.txt
	touch $@

.venv/tested: tests/requirements.txt .venv/made
	$(BIN)/pip install -q -r tests/requirements.txt
	touch $@

.PHONY: setup
setup: .venv/made ## Make the controller's virtual environment

.PHONY: demo
demo: root .venv/made ## Three lab hosts, the service on them, a chat completion
	@mkdir -p reports
	@ansible-playbook playbooks/lab_up.yml
	@ansible-playbook site.yml
	@ansible-playbook playbooks/verify.yml
	@ansible-playbook playbooks/demo.yml
	@cat reports/demo.txt

.PHONY: demo-down
demo-down: root .venv/made ## Take the demo's hosts away
	@ansible-playbook playbooks/lab_down.yml

.PHONY: test
test: lint unit molecule lab-test ## Lint, unit tests, role scenarios, the whole on lab hosts

.PHONY: lint
lint: .venv/tested ## ansible-lint (production), yamllint, ruff, mypy
	yamllint --strict .
	ruff check .
	ruff format --check .
	mypy
	ansible-lint --offline --strict

.PHONY: unit
unit: .venv/tested ## Tests that need no host
	pytest -m "not lab" -n auto --dist loadfile tests

.PHONY: molecule
molecule: root .venv/tested ## Role scenarios on lab hosts
	molecule test --all

.PHONY: lab-test
lab-test: root .venv/tested ## The whole service on lab hosts, and its failures
	pytest -m lab tests

DRILLS := tests/lab/drills/inventory
.PHONY: drills
drills: root .venv/tested ## Faults, rolls and killed rolls on a lab under load, and what they cost
	@ansible-playbook -i $(DRILLS) playbooks/lab_up.yml
	@ansible-playbook -i $(DRILLS) site.yml
	@status=0; (cd tests/lab && python -m drills && python -m drills.sweep --points 20 \
	  && python -m drills.sweep --points 20 --victim modules) || status=1; \
	ansible-playbook -i $(DRILLS) playbooks/lab_down.yml; exit $$status

.PHONY: locks
locks: ## Resolve the release sets anew into lock files
	tools/resolve-locks
