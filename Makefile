# Everything a newcomer needs; only python3, make and PyPI are assumed.
#   make demo   the main job, end to end, on a made-up company   (DATA=path for a pack)
#   make dev    the same with the Dagster UI left running         (Ctrl-C stops it)
#   make test   the tests          make check   linters and types
#   make ui     the Dagster UI in a real browser; skipped where there is no chromium
#   make proof  the long tests: random orders, a simulated month, a browser, Celery workers
#   make faults the fault bench: 300 documents under every fault   (DOCUMENTS=n, SCENARIO=name,
#               SABOTAGE=no-settle-wait); about an hour

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What the sandbox, the embedded database and Dagster keep; `make clean` removes it.
export MLC_HOME ?= $(CURDIR)/.mlc
export DAGSTER_EVENT_BATCH_SIZE ?= 1000

DATA ?=
DEMO_OPTIONS := $(if $(DATA),--data $(DATA)) $(if $(WHOLE),--whole) $(if $(DAYS),--days $(DAYS))

.DEFAULT_GOAL := help
.PHONY: help demo dev test ui test-fast proof faults check format lock clean

help:
	@grep -E '^#   ' Makefile | cut -c5-

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[sandbox,test,check,dev,celery,ui]'
	touch $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/mlc demo $(DEMO_OPTIONS)

dev: $(INSTALLED)
	$(BIN)/mlc dev $(DEMO_OPTIONS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not proof and not celery and not ui"

# What takes longer, or needs a browser or Redis.
proof: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "proof or celery or ui"

ui: $(INSTALLED)
	$(BIN)/python -m pytest -m ui

test-fast: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not e2e and not real_data and not proof and not celery and not ui"

FAULT_OPTIONS := $(if $(DOCUMENTS),--documents $(DOCUMENTS)) $(if $(SCENARIO),--scenario $(SCENARIO)) \
	$(if $(SABOTAGE),--sabotage $(SABOTAGE))

faults: $(INSTALLED)
	$(BIN)/python -m mlc_pipeline_tests.faults $(FAULT_OPTIONS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/dg check defs

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The locked versions: what a fresh resolution gives, without any address in it.
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet '.[sandbox,test,check,dev,celery,kubernetes,ui]'
	$(VENV)/lock/bin/python -m pip freeze --exclude mlc_pipeline > constraints.txt
	rm -rf $(VENV)/lock

clean:
	rm -rf .mlc .pytest_cache .mypy_cache .ruff_cache .hypothesis
