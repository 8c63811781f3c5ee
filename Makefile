# `make run` and `make test` set up what they need; nothing but Python 3.11+ and make must be there.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= penumbra-data
PORT ?= 8000
# Processes that share the tests; each has a Postgres of its own.
CORES ?= 2

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: $(VENV)/.for-run ## Set everything up and start Penumbra with a simulated port day (PORT=8000 DATA=penumbra-data)
	$(BIN)/penumbra up --demo --data $(DATA) --port $(PORT)

.PHONY: demo
demo: $(VENV)/.for-run ## Fill a running Penumbra with the simulated port day
	$(BIN)/penumbra demo --data $(DATA) --address http://127.0.0.1:$(PORT)

.PHONY: test
test: check browser ## Set everything up, check the code, pass the tests
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile -m "not alone" $(TESTS)
	$(BIN)/python -m pytest -m alone $(TESTS); status=$$?; test $$status -eq 0 -o $$status -eq 5

# Tests at the desk drive a real Chromium; root of a Debian machine gets it here, and without it they skip.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo "Installing Chromium, for the tests at the desk." && export DEBIAN_FRONTEND=noninteractive \
		&& apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	|| echo "Chromium is missing, so the tests at the desk skip: install it with \`apt-get install chromium\`."

.PHONY: check
check: $(VENV)/.for-test ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.for-test ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(VENV)/.for-test ## Measure throughput and latency on this machine (CORPUS=folder of films)
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: screenshots
screenshots: $(VENV)/.for-test browser ## Take the pictures of docs/desk anew, of a simulated day
	$(BIN)/python -m benchmarks.screenshots

.PHONY: lock
lock: ## Pin dependencies anew, with hashes and without any registry's address (needs uv)
	requirements/compile

.PHONY: clean
clean: ## Remove the virtual environment and caches; data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Penumbra needs Python 3.11, 3.12 or 3.13; install one, or say make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.for-run: requirements/worker.lock pyproject.toml | $(BIN)/python
	$(call install,requirements/worker.lock)

$(VENV)/.for-test: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(call install,requirements/dev.lock)
	@touch $(VENV)/.for-run

define install
	@echo "Installing into $(VENV): TensorFlow and its kin, a minute or more at the first time."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
endef
