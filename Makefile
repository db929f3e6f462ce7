# make        sets up a virtual environment and runs the pipeline
# make test   sets it up, looks at spelling, style and types, and runs the tests
# make check  looks at spelling, style and types only
# make docs   builds the documentation site, build/docs
# make readme writes the generated parts of README.md and docs/
# make bench  measures our work beside that of others
# make undo   goes back from an experiment to what is committed
# make pull   brings the outputs from DVC's remote
# make summary   writes build/summary.md: what changed since BASE, for a pull request
# make grid   runs the paper's grid, JOBS cells at a time
# make notebook   executes the notebook of examples/ and keeps its outputs
# make screenshot  takes the pictures of README.md and docs/, from data/bundle

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 1
BASE ?= HEAD
BIN := $(VENV)/bin
# DVC and the tests start `python` by name: the environment's comes first.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: all undo pull summary test check readme docs bench grid notebook screenshot clean

all: $(VENV)/.pipeline
	@python -m stages.runner
	@python -m stages.check_params params.yaml data/params.valid
	@python -m belong.commands.verify.repair .
	dvc repro
	@python -m belong.commands.verify.compare . reports/threads/differences.csv

undo: $(VENV)/.pipeline
	@python -m belong.commands.verify.undo .

pull: $(VENV)/.pipeline
	@python -m belong.commands.verify.pull .

summary: $(VENV)/.pipeline
	@mkdir -p build
	dvc plots diff $(BASE) --out build/plots > /dev/null
	@{ set -e; echo '## This run beside $(BASE)'; \
	  echo; python -m belong.commands.verify.compare . reports/threads/differences.csv 2>&1; \
	  echo; echo '### Parameters'; echo; dvc params diff --md $(BASE); \
	  echo; echo '### Metrics'; echo; dvc metrics diff --md $(BASE); } > build/summary.md

test: check $(VENV)/.browser
	pytest

check: $(VENV)/.test
	codespell
	ruff format --check .
	ruff check .
	mypy

readme: $(VENV)/.pipeline
	@test -f reports/paper/grid.csv || \
	  { echo "reports/paper/grid.csv: no such file; run \`make grid\`" >&2; exit 2; }
	mkdir -p build
	dvc exp run --quiet --temp --force --name tenth -S lambda=0.1
	dvc metrics diff HEAD tenth > build/diff
	dvc dag --dot > build/dag
	python -m reproduction.readme params.yaml reports/metrics_all.json \
	  reports/plots/anomaly_sets.csv reports/paper/grid.csv reports/threads/differences.csv \
	  reports/photos/cleaning.csv reports/photos/frozen.csv reports/photos/full_size.csv build/dag build/diff README.md
	python -m reproduction.command_pages .
	python -m reproduction.api_page docs/python-api.md
	python -m reproduction.panel_table docs/evaluate.md

docs: $(VENV)/.docs
	python -m sphinx --fail-on-warning --keep-going --quiet --jobs auto -c docs . build/docs
	@echo build/docs/index.html

grid: $(VENV)/.pipeline
	python -m reproduction.grid reports/paper/params.yaml reports/paper --jobs $(JOBS)

bench: $(VENV)/.bench
	python -m benchmarks

notebook: $(VENV)/.test
	python -m reproduction.notebook examples/quick_start.ipynb

screenshot: $(VENV)/.test $(VENV)/.browser
	python -m tests.screenshot data/bundle data/raw/mnist data/raw/fashion-mnist docs

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/.pipeline: pyproject.toml constraints.txt versions.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "belong needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12" >&2; exit 2; }
	@# An environment that was left half made, for want of python3-venv, has no pip.
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[pipeline]'
	touch $@

$(VENV)/.test: $(VENV)/.pipeline
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

$(VENV)/.docs: $(VENV)/.pipeline
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.pipeline
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

# A browser for the tests of the pages. Without one they are skipped, except where CI is set: there
# this fails.
$(VENV)/.browser: $(VENV)/.pipeline
	@sh tests/browser.sh
	touch $@
