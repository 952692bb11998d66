# Everything a person or the continuous integration runs. `make demo` and `make test` set
# themselves up: they need Python 3.11 to 3.13 and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow check format clean help

help:
	@echo "make demo       fine-tune on the embedded film sentences, show the traces, classify two sentences"
	@echo "make test       run the tests"
	@echo "make test-slow  run the proofs that take minutes"
	@echo "make check      lint, format and types"
	@echo "make format     format the code"
	@echo "make clean      remove the virtual environment and caches"

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: SureFit needs Python 3.11 to 3.13; $(PYTHON) is another: name one with 'make PYTHON=python3.12 ...'"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

LOOPS := $(wildcard src/surefit/model/kernels/*.cpp src/surefit/model/kernels/*.h)

$(VENV)/installed: $(VENV)/created pyproject.toml constraints.txt $(LOOPS)
	@echo "Installing SureFit (a few minutes the first time) ..."
	@$(PIP_INSTALL) --editable '.[offline]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing what the tests need ..."
	@$(PIP_INSTALL) --editable '.[offline,pandas,dev]'
	@touch $@

demo: $(VENV)/installed
	@$(BIN)/python examples/demo.py

# Two processes of one thread each: nearly all tests are too small to gain from a second thread.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis src/surefit/model/kernels/*.so
