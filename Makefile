# make        sets up a virtual environment and runs the pipeline
# make test   sets it up, looks at style and types, and runs the tests
# make check  looks at style and types only; make readme writes the README's table anew
# make bench  measures our work beside that of others
# make grid   runs the paper's grid, JOBS cells at a time
# make screenshot  takes the README's picture of a gallery anew, from data/bundle

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 1
BIN := $(VENV)/bin
# DVC and the tests start `python` by name: the environment's comes first.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: all test check readme bench grid screenshot clean

all: $(VENV)/.pipeline
	@python -m stages.check_params params.yaml data/params.valid
	@python -m belong.commands.verify.mend .
	dvc repro

test: check $(VENV)/.browser
	pytest

check: $(VENV)/.test
	ruff format --check .
	ruff check .
	mypy

readme: $(VENV)/.pipeline
	@test -f reports/paper/grid.csv || \
	  { echo "reports/paper/grid.csv: no such file; \`make grid\` makes it" >&2; exit 2; }
	mkdir -p build
	dvc exp run --quiet --temp --force --name tenth -S lambda=0.1
	dvc metrics diff HEAD tenth | grep -E '^Path|classification|\.auroc ' > build/diff
	dvc dag --md > build/dag
	python -m reproduction.readme params.yaml reports/metrics.json reports/paper/grid.csv \
	  reports/threads/differences.csv reports/photos/cleaning.csv build/dag build/diff README.md

grid: $(VENV)/.pipeline
	python -m reproduction.grid reports/paper/params.yaml reports/paper --jobs $(JOBS)

bench: $(VENV)/.bench
	python -m benchmarks

screenshot: $(VENV)/.test $(VENV)/.browser
	python -m tests.screenshot data/bundle data/raw/mnist data/raw/fashion-mnist docs/gallery.png

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/.pipeline: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "belong wants Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12" >&2; exit 2; }
	@# An environment that was left half made, for want of python3-venv, has no pip.
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[pipeline]'
	touch $@

$(VENV)/.test: $(VENV)/.pipeline
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

$(VENV)/.bench: $(VENV)/.pipeline
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

# A browser for the tests of the pages. Without one they are skipped, except where CI is set: there
# this fails.
$(VENV)/.browser: $(VENV)/.pipeline
	@sh tests/browser.sh
	touch $@
