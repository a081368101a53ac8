.DEFAULT_GOAL := help
# The newest Python that runs here and that torch has wheels for.
PYTHON ?= $(shell for v in 3.14 3.13 3.12 3.11; do python$$v -c "" 2>/dev/null && echo python$$v && break; done || echo python3)
BIN := .venv/bin
STAMP := .venv/.installed
VERL_BIN := .venv-verl/bin
VERL_STAMP := .venv-verl/.installed
RESULTS := benchmarks/results

# torch first, by its exact version: an open range pulls several GB of GPU libraries.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || \
	  { echo "polypath needs Python 3.11 to 3.14, found $(PYTHON). Name one: make PYTHON=/path/to/python setup"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[trl,math,sql,embedding,peft,ray,docs,dev]'
	touch $(STAMP)

# verl wants an older transformers than TRL.
$(VERL_STAMP): pyproject.toml constraints-verl.txt
	$(PYTHON) -m venv .venv-verl
	$(VERL_BIN)/python -m pip install --quiet --constraint constraints-verl.txt torch==2.13.0
	$(VERL_BIN)/python -m pip install --quiet --constraint constraints-verl.txt --editable '.[verl]' pytest
	touch $(VERL_STAMP)

.PHONY: help setup quickstart test test-random test-shuffled test-verl lint docs notebooks check-notebooks wheel release-check check format base bench bench-gpu

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */	/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything in it (2 to 3 minutes)

quickstart: $(STAMP)  ## train small models with every method and compare them (4 to 6 minutes on 2 cores)
	$(BIN)/polypath quickstart

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest -q -n 2

test-random: $(STAMP)  ## run the tests with properties tried on new random examples
	$(BIN)/python -m pytest -q -n 2 --hypothesis-profile random

test-shuffled: $(STAMP)  ## run the tests in a random order
	POLYPATH_TEST_ORDER=$${POLYPATH_TEST_ORDER:-$$(date +%s)} $(BIN)/python -m pytest -q -n 2

test-verl: $(VERL_STAMP)  ## run the tests of the verl engine, in an environment of its own (.venv-verl)
	$(VERL_BIN)/python -m pytest -q --confcutdir=tests/verl --override-ini addopts= \
	  -W 'ignore:.*engine is not available' --durations=10 tests/verl

lint: $(STAMP)  ## check formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP)  ## build the site into build/site; a dead link or a page that nothing leads to fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@! grep -rnE '<(script|link|img)[^>]+https?://' build/site --include='*.html' || \
	  { echo "the site must work without a network"; exit 1; }

notebooks: $(STAMP)  ## run the site's notebooks after an edit and store what they print (about 5 minutes)
	$(BIN)/python scripts/run_notebooks.py

check-notebooks: $(STAMP)  ## run the site's notebooks; fail where a cell fails or prints something else
	$(BIN)/python scripts/run_notebooks.py --check

wheel:  ## build sdist and wheel, and use the wheel without extras in an empty folder
	scripts/check_wheel.sh $(PYTHON)

release-check:  ## check a release: build, twine, quickstart of the wheel outside the repository, docs (4 to 11 minutes)
	scripts/release_check.sh $(PYTHON)

check: lint test  ## lint and test: what CI runs

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

base: $(STAMP)  ## train the shipped Countdown base again, from scratch
	$(BIN)/python scripts/train_countdown_base.py

bench: $(STAMP)  ## measure speed and memory against what people use (long: use idle cores)
	$(BIN)/python benchmarks/metrics.py --out $(RESULTS)/metrics.json
	$(BIN)/python benchmarks/verify.py --out $(RESULTS)/verify.json
	$(BIN)/python benchmarks/verify_sql.py --out $(RESULTS)/verify_sql.json
	$(BIN)/python benchmarks/reward_adjustment.py --out $(RESULTS)/reward_adjustment.json
	$(BIN)/python benchmarks/embedding.py --out $(RESULTS)/embedding.json
	$(BIN)/python benchmarks/store.py --out $(RESULTS)/store.json
	$(BIN)/python benchmarks/report.py --out $(RESULTS)/report.json
	$(BIN)/python benchmarks/measuring.py --out $(RESULTS)/measuring.json
	$(BIN)/python benchmarks/measuring_rows.py --out $(RESULTS)/measuring_rows.json
	$(BIN)/python benchmarks/quickstart.py --out $(RESULTS)/quickstart.json
	$(BIN)/python benchmarks/training.py --out $(RESULTS)/training.json
	$(BIN)/python benchmarks/training.py --width 768 --shapes 64x32 --steps 4 --arms monitoring "dra, MiniLM" "dra, MiniLM in bfloat16" --out $(RESULTS)/training_large.json
	$(BIN)/python benchmarks/training.py --shapes 256x48 --constant 0 0.333 0.5 --steps 6 --arms skipping 'all three, skipping' --out $(RESULTS)/training_skipping.json
	$(BIN)/python benchmarks/recipe_steps.py --out $(RESULTS)/recipe_steps.json
	$(BIN)/python benchmarks/sampling.py --out $(RESULTS)/sampling.json
	$(BIN)/python benchmarks/training_growth.py --out $(RESULTS)/training_growth.json
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/figures.py

bench-gpu: $(STAMP)  ## measure step, memory and parts on one GPU (about 9 minutes; docs/gpu.md)
	$(BIN)/python benchmarks/gpu.py --out benchmarks/results/gpu.json
