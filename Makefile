# SPDX-License-Identifier: GPL-2.0-only

PYTHON := .venv/bin/python
# The kernel of `make vm-test` and `make vm-shell`; `python3 -m tests.vm list` shows all.
KERNEL ?= 6.12
# The hosts of `make fleet`.
HOSTS ?= 50
# For `make vm-deploy`: the Debian release (bookworm, trixie, or trixie-backports: trixie with the
# newest kernel), and the story (service, first-boot).
RELEASE ?= bookworm
STORY ?= service
# The attach modes of `make vm-test`, `make vm-bench` and `make vm-soak`: one virtual machine each, two at a time.
MODES ?= fentry,kprobe
comma := ,
# Duration of `make load` and the soaks.
MINUTES ?= 3
# An emulated processor does less; the counts are checked the same way.
GUEST_SOAK = python3 -m tests.scorecard soak --mode $$FDSCOPE_ATTACH_MODE --minutes $(MINUTES) \
	--operations 4000 --births 50 --every 10 --out /reports

# A guest has one emulated processor.
GUEST_SIEGE = FDSCOPE_TEST_SCALE=0.05 FDSCOPE_TEST_SIEGE_SECONDS=120 \
	python3 -m pytest -v -p no:cacheprovider --color=no tests/hostile/test_siege.py

.PHONY: help run test check lint generate check-generated deb bench vm-bench scorecard scorecard-table load soak hostile siege vm-siege vm-soak vm-test vm-deploy vm-matrix vm-table vm-shell fleet clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## Exporter and Prometheus on this machine, until Ctrl-C (as root)
	@deploy/setup/setup.sh run
	@setpriv --pdeathsig TERM $(PYTHON) -Es deploy/run/run.py

test: ## All tests that this machine can run, with real probes where root
	@deploy/setup/setup.sh test
	$(PYTHON) -m pytest -m "not hostile"

check: lint ## Style, types, imports, generated files, and the tests without a kernel
	$(PYTHON) -m pytest -m "not kernel and not hostile"

lint: ## What CI runs first: style, types, imports, generated files
	@deploy/setup/setup.sh check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/mypy --strict deploy/run/run.py
	.venv/bin/lint-imports
	shellcheck -x deploy/*/*.sh deploy/debian/fdscope.p* .ci/run tests/vm/guest/init tests/vm/guest/*.sh
	@$(MAKE) --no-print-directory check-generated

generate: ## Write all generated files: tables of docs/, example options, dashboards, rules
	@deploy/setup/setup.sh check
	$(PYTHON) -m fdscope.exporter.generate.metric_docs
	$(PYTHON) -m fdscope.exporter.generate.interface
	$(PYTHON) -m fdscope.exporter.generate.example_config >deploy/service/fdscope.toml
	$(PYTHON) -m fdscope.dashboards.build
	.venv/bin/fdscope rules --out deploy
	$(PYTHON) -m fdscope.dashboards.mixin
	@deploy/kubernetes/manifest.sh

check-generated: ## Fail if `make generate` would change anything
	@$(PYTHON) -m fdscope.exporter.generate.metric_docs --check
	@$(PYTHON) -m fdscope.exporter.generate.interface --check
	@$(PYTHON) -m fdscope.exporter.generate.example_config | diff -u deploy/service/fdscope.toml - || \
		{ echo 'deploy/service/fdscope.toml is out of date: run make generate'; exit 1; }
	@$(PYTHON) -m fdscope.dashboards.build --check || { echo 'run make generate'; exit 1; }
	@$(PYTHON) -m fdscope.dashboards.mixin --check
	@deploy/kubernetes/manifest.sh --check
	@.venv/bin/fdscope rules --out build/generated
	@for part in rules records grafana/alerting; do diff -ru deploy/$$part build/generated/$$part || \
		{ echo "deploy/$$part is out of date: run make generate"; exit 1; }; done

deb: ## The Debian package, into build/ (as root where tools are missing)
	@deploy/setup/setup.sh check
	@deploy/debian/build.sh

bench: ## Measure the cost of fdscope here (as root, takes minutes)
	@deploy/setup/setup.sh test
	$(PYTHON) -m tests.bench

vm-bench: ## Instructions that fdscope adds to an operation, in virtual machines with kernel KERNEL, in each of MODES
	/usr/bin/python3 -m tests.vm run $(KERNEL) --modes $(MODES) --counted --limit 3600 \
		--script 'python3 -m tests.bench.instructions'
	/usr/bin/python3 -m tests.bench.cost $(foreach mode,$(subst $(comma), ,$(MODES)),$(KERNEL)-$(mode))

scorecard: ## Known bytes on every route, counted exactly or not, in each mode (as root)
	@deploy/setup/setup.sh test
	$(PYTHON) -m tests.scorecard run

load: ## Totals under load, from the running exporter, for MINUTES (as root)
	@deploy/setup/setup.sh test
	$(PYTHON) -m tests.scorecard load --minutes $(MINUTES)

soak: ## Load, and processes that start and end, for MINUTES (as root)
	@deploy/setup/setup.sh test
	$(PYTHON) -m tests.scorecard soak --minutes $(MINUTES)

hostile: ## Storms of names, errnos, cgroups and clients, one after the other (as root)
	@deploy/setup/setup.sh test
	$(PYTHON) -m pytest -v -m hostile

siege: ## All attacks of a user without rights for two minutes, with a scrape each second (as root)
	@deploy/setup/setup.sh test
	FDSCOPE_TEST_SIEGE_SECONDS=120 $(PYTHON) -m pytest -v tests/hostile/test_siege.py

vm-siege: ## A smaller siege in virtual machines with kernel KERNEL, in each of MODES
	/usr/bin/python3 -m tests.vm run $(KERNEL) --modes $(MODES) --limit 1800 \
		--script '$(GUEST_SIEGE)'

vm-soak: ## The soak in virtual machines with kernel KERNEL, in each of MODES
	/usr/bin/python3 -m tests.vm run $(KERNEL) --modes $(MODES) --limit $$(($(MINUTES) * 60 + 400)) \
		--script '$(GUEST_SOAK)'

vm-test: ## The tests in virtual machines with kernel KERNEL, in each of MODES; GUEST_TESTS chooses some
	/usr/bin/python3 -m tests.vm run $(KERNEL) --modes $(MODES) \
		$(if $(GUEST_TESTS),--script 'python3 -m pytest -v -p no:cacheprovider --color=no $(GUEST_TESTS)')

vm-deploy: deb ## The package under systemd in a virtual machine of Debian (RELEASE=trixie, STORY=first-boot)
	/usr/bin/python3 -m tests.vm service $(RELEASE) --story $(STORY)

vm-matrix: ## The tests in virtual machines with all kernels, in all modes
	/usr/bin/python3 -m tests.vm run all

scorecard-table: ## The published table in docs/, from the last runs here and in virtual machines
	$(PYTHON) -m tests.scorecard table --out docs/scorecard.md

vm-table: ## The table of kernels in docs/, from the last `make vm-matrix`
	/usr/bin/python3 -m tests.vm table --out docs/kernels.md

vm-shell: ## A shell in a virtual machine with kernel KERNEL
	/usr/bin/python3 -m tests.vm shell $(KERNEL)

fleet: ## HOSTS played exporters and a real one, an agent and an engine, until Ctrl-C (as root)
	@deploy/setup/setup.sh test
	$(PYTHON) -m tests.fleet --hosts $(HOSTS)

clean: ## Remove everything built and recorded; .venv too
	rm -rf .venv build data *.egg-info .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
