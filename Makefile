# make demo: evaluate an agent that has been trained, then train and evaluate a small one.
# make quick: minutes, some tests of every package. make test: all that CI runs. make slow: the rest.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo quick test slow bench lint format docs wheel-check lock clean

demo: .venv/.installed
	test -f runs/pretrained/evaluation.json || \
		$(BIN)/metaenvs evaluate --pretrained s5-random-projection-v0 --out runs/pretrained
	$(BIN)/metaenvs train --preset in-context-lite --out runs/demo --resume
	$(BIN)/metaenvs evaluate runs/demo --overwrite

# Most of a test's time is one thread of XLA's compiler.
PYTEST := $(BIN)/python -m pytest -q -n logical --maxprocesses 4

quick: .venv/.installed-dev
	$(PYTEST) @tests/quick.txt

test: .venv/.installed-dev
	$(PYTEST)

slow: .venv/.installed-dev
	$(BIN)/python -m pytest -q -m slow

# ARGS=--quick: fewer cases; ARGS="mixture popgym": some of the benchmarks.
OUT ?= /tmp/metaenvs-bench
bench: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[bench]"
	$(BIN)/python -m benchmarks --out $(OUT) $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The site, into build/site; a warning or a dead link fails it.
docs: .venv/.installed-docs
	$(BIN)/python scripts/site.py build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/site

# Needs $(PYTHON) alone; make wheel-check PYTHON=python3.13 tries another one.
wheel-check: .venv/.installed-release
	BUILDER=$(BIN)/python scripts/check_wheel.sh $(PYTHON)

# Needs uv (https://docs.astral.sh/uv).
lock:
	uv pip compile --universal --python-version 3.11 --extra dev --extra bench --extra docs --upgrade \
		--no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:
	rm -rf .venv build dist *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit("metaenvs needs Python 3.11 or newer, $(PYTHON) is %d.%d; try make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml requirements.lock | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev]"
	@touch $@

.venv/.installed-docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[docs]"
	@touch $@

.venv/.installed-release: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock build twine
	@touch $@
