# make demo | test | lint | bench | benchmark-accuracy | screenshots | clean      each creates .venv and installs what it needs
#
#   make PYTHON=python3.12 ...                                        another interpreter (3.11 or newer)
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu ...         another source of torch, here without CUDA
#   make SLICER_SOURCE=../Slicer test                                 GUI tests also with Slicer's own Python classes
#   make PRESET=standard DATASETS="brain ceph" benchmark-accuracy     other trainings than those of the quick preset

PYTHON ?= python3
TORCH_INDEX ?=
DATA ?= ../shared/data
DATASETS ?= brain spine mouse ceph
FEW_TESTS ?= spine mouse
METHODS ?= pin cascade multiscale-locnet global-to-local
PRESET ?= quick

BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test lint bench benchmark-accuracy screenshots clean

demo: .venv/detection-installed
	$(BIN)/landmark-detection demo

test: .venv/everything-installed
	$(BIN)/python -m pytest

lint: .venv/lint-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/everything-installed
	for benchmark in Testing/benchmarks/bench_*.py; do $(BIN)/python $$benchmark || exit 1; done

# Trains and measures what Testing/benchmarks/results.csv does not hold yet, and shows all it holds. Where a test split is
# too small to tell methods apart, by cross-validation.
benchmark-accuracy: .venv/everything-installed
	for dataset in $(DATASETS); do for method in $(METHODS); do \
		case " $(FEW_TESTS) " in *" $$dataset "*) on="--folds 5";; *) on="--split test";; esac; \
		$(BIN)/python Testing/benchmarks/record_training.py $$method $(DATA)/$$dataset --preset $(PRESET) $$on || failed=1; \
	done; done; $(BIN)/python Testing/benchmarks/results_table.py; exit $${failed:-0}

# Pictures of the running modules for the documentation, which takes minutes; they change with every change of a panel.
screenshots: .venv/everything-installed
	for module in detection training; do PYTHONPATH=Testing/gui $(BIN)/python -m screenshots $$module || exit 1; done

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist demo-output LandmarkDetection/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/lint-installed: constraints.txt | .venv/bin/python
	$(INSTALL) ruff
	@touch $@

.venv/detection-installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable .
	@touch $@

.venv/everything-installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[train,test]'
	@touch $@
