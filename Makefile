# SPDX-License-Identifier: GPL-2.0-only

PYTHON := .venv/bin/python
# The kernel of `make vm-test` and `make vm-shell`; `python3 -m tests.vm list` shows all.
KERNEL ?= 6.12

.PHONY: help run test check bench vm-test vm-matrix vm-table vm-shell clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## Exporter and Prometheus on this machine, until Ctrl-C (as root)
	@deploy/setup.sh run
	@setpriv --pdeathsig TERM $(PYTHON) deploy/run.py

test: ## All tests that this machine can run, with real probes where root
	@deploy/setup.sh test
	$(PYTHON) -m pytest

check: ## What CI runs first: style, types, imports, unit tests, generated files
	@deploy/setup.sh check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/mypy --strict deploy/run.py
	.venv/bin/lint-imports
	shellcheck deploy/setup.sh .ci/run tests/vm/guest/init
	$(PYTHON) -m pytest -m "not kernel"
	@if [ -e exporter/docs.py ]; then $(PYTHON) -m exporter.docs --check; fi

bench: ## What fdscope costs here (as root, takes minutes)
	@deploy/setup.sh test
	$(PYTHON) -m tests.bench

vm-test: ## The tests in a virtual machine with kernel KERNEL
	/usr/bin/python3 -m tests.vm run $(KERNEL)

vm-matrix: ## The tests in virtual machines with all kernels
	/usr/bin/python3 -m tests.vm run all

vm-table: ## The table of kernels in docs/, from the last `make vm-matrix`
	/usr/bin/python3 -m tests.vm table --out docs/kernels.md

vm-shell: ## A shell in a virtual machine with kernel KERNEL
	/usr/bin/python3 -m tests.vm shell $(KERNEL)

clean: ## Remove what was built and recorded; .venv too
	rm -rf .venv build data *.egg-info .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
