# The main commands are `make night` and `make test`. Both set everything up first and can be repeated.
SHELL := /bin/bash
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PMLM_DROPS := $(if $(DROPS),$(abspath $(DROPS)),)
ifeq ($(PMLM_DROPS),)
unexport PMLM_DROPS
endif

# a .gguf file that answers in place of the embedded answer
ifneq ($(MODEL),)
export PMLM_LLM_MODEL := $(abspath $(MODEL))
endif

# a misspelt variable would run the sample clinic in silence
VARIABLES := DROPS MODEL WOMEN MINUTES SLOW SEED
UNKNOWN := $(filter-out $(VARIABLES),$(foreach v,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(v)))))
ifneq ($(UNKNOWN),)
$(error unknown variable $(UNKNOWN); known: $(VARIABLES))
endif

# where this is set, every process compiles all libraries again: seconds per command, minutes in the tests
unexport PYTHONDONTWRITEBYTECODE

#: Tests of pure code: no stage, no bento, no model that takes seconds to load.
FAST := tests/unit/bentos tests/unit/feature_repo tests/unit/models tests/unit/pmlm tests/unit/pipelines/records \
  tests/unit/pipelines/synthetic tests/unit/test_architecture.py tests/unit/test_dependencies.py

#: In the order of tests/conftest.py, which begins with the groups that take longest.
PYTEST := pytest -n 2 --dist loadgroup --no-loadscope-reorder

.PHONY: help setup lock demo night finished-night up down test test-fast test-slow test-faults lint types unit parity spark audit architecture docs \
  screenshots clean bench-serving bench-features bench-drift soak fortnight

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

.venv/.ready: requirements.lock pyproject.toml
	python3.11 -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)" "$$(grep '^uv==' requirements.lock)"
	.venv/bin/uv pip install --quiet --python $(PY) --no-deps -r <(grep -v '^torch==' requirements.lock)
	.venv/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	touch $@

setup: .venv/.ready ## make .venv with the pmlm command in it
	@test -n "$(filter-out setup help,$(MAKECMDGOALS))" || echo 'The pmlm command: . .venv/bin/activate'

lock: setup ## resolve requirements.lock from requirements.in again
	.venv/bin/uv pip compile requirements.in --override requirements.overrides --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  | grep -vE '^(nvidia-(cu|nccl|nvj|nvs|nvt)|cuda-|triton==)' | sed -E 's/^torch==([0-9.]+).*/torch==\1/' > requirements.lock.part
	(echo "# Resolved by 'make lock' from requirements.in. Install with --no-deps: the list is complete."; cat requirements.lock.part) > requirements.lock
	rm requirements.lock.part

demo: setup ## serve a finished night and open the page on one question: under 90 seconds, no key, no GPU
	@pmlm demo

night: setup ## run one whole night [DROPS=folder of dated drops] [MODEL=file.gguf]
	@pmlm night

finished-night: setup ## run a night of the sample clinic in a folder of its own, pack it for `make demo`, draw it
	rm -rf state/finished
	mkdir -p state/finished
	set -o pipefail; PMLM_HOME=state/finished pmlm night --json | tee state/finished/night.out
	PMLM_HOME=state/finished $(PY) -m pipelines.night.finished
	$(PY) docs/draw_night.py state/finished/night.out
	$(PY) docs/results.py

up: setup ## start Airflow and the endpoint [MODEL=file.gguf]
	@pmlm up

down: setup ## stop everything `make up` started
	@pmlm down

test: setup lint types unit $(if $(SLOW),parity) ## lint, types, tests; without those that `make test-slow` runs [SLOW=1: with them]

test-fast: setup ## tests of pure code alone
	$(PYTEST) -m "not slow" $(FAST)

test-slow: setup parity ## what takes longest: exhaustive kills, a scheduled night, Spark
	$(PYTEST) -rs -m slow

test-faults: setup ## inject every fault that docs/faults.md lists, slow ones too, and write its table
	$(PYTEST) -rs -m fault

parity: setup
	$(if $(wildcard .venv/spark),PYTHONPATH=.venv/spark pytest -n0 -rs tests/unit/pipelines/features/engines/test_spark_engine.py)

lint: setup
	ruff check .
	ruff format --check .
	lint-imports

types: setup
	mypy

unit: setup
	$(PYTEST) -rs $(if $(SLOW),,-m "not slow")

spark: setup ## put pyspark beside the environment, so that `make test-slow` compares Spark with DuckDB (Java 17 is needed)
	.venv/bin/uv pip install --quiet --target .venv/spark -c requirements.lock 'pyspark>=4.1,<5'

bench-serving: setup ## measure the endpoint's speed, LiteLLM beside it (up to 10 minutes, an idle machine)
	$(PY) -m benchmarks.serving

bench-features: setup ## measure features, increments, online reads and peers [WOMEN=100000] (an idle machine)
	$(PY) -m benchmarks.features $(if $(WOMEN),--women $(WOMEN))
	$(PY) -m benchmarks.peers_privacy

bench-drift: setup ## measure drift's false alarms and how soon planted shifts are found
	$(PY) -m benchmarks.drift

soak: setup ## half an hour at 50 requests a second [MINUTES=30]
	$(PY) -m benchmarks.serving.soak $(if $(MINUTES),--minutes $(MINUTES))

fortnight: setup ## fourteen nights with faults planted by seed, under traffic, and a picture [SEED=1]
	$(PY) -m benchmarks.fortnight $(if $(SEED),--seed $(SEED))

audit: setup ## ask a live advisory database about the lock (needs the network)
	.venv/bin/uv tool run pip-audit --no-deps --disable-pip -r requirements.lock

architecture: setup ## draw the import graph into docs/architecture.md
	PYTHONPATH=. $(PY) docs/draw_architecture.py

docs: setup architecture ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

screenshots: setup ## take the documentation's pictures again, of the clinic after its night
	PMLM_SCREENSHOTS=docs/images pytest -n0 --timeout 900 tests/contract/test_page_pictures.py

clean: ## remove the environment and all state of every clinic
	rm -rf .venv state
