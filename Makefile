# make demo | test | lint | bench | benchmark-accuracy | findings | screenshots | clean
# Each creates .venv and installs what it needs.
#
#   make PYTHON=python3.12 ...                                        another interpreter (3.11 or newer)
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu ...         another source of torch, here without CUDA
#   make SLICER_SOURCE=../Slicer test                                 GUI tests also with Slicer's own Python classes
#   make DATA=../data benchmark-accuracy findings                     public data in another folder than ../shared/data

PYTHON ?= python3
TORCH_INDEX ?=
DATA ?= ../shared/data

BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test lint bench benchmark-accuracy findings screenshots clean

demo: .venv/detection-installed
	$(BIN)/landmark-detection demo

test: .venv/everything-installed
	$(BIN)/python -m pytest

lint: .venv/lint-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/everything-installed
	for benchmark in Testing/benchmarks/bench_*.py; do $(BIN)/python $$benchmark || exit 1; done

# For hours: trains and measures what Testing/benchmarks/results.csv lacks of the benchmark, and writes its page anew.
benchmark-accuracy: .venv/everything-installed
	$(BIN)/python Testing/benchmarks/accuracy_benchmark.py "$(DATA)"

# For hours: trains and measures what that file lacks of the papers' findings, and writes their page anew.
findings: .venv/everything-installed
	$(BIN)/python Testing/benchmarks/findings.py "$(DATA)"

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
