# "make demo" and "make test" do all set-up themselves: a virtual environment in .venv, another for pacemaker's
# TensorFlow in .venv-pace, and an AiiDA profile in .aiida. No service is needed and no other profile is touched.

PYTHON ?= python3
BIN := .venv/bin
PACE_BIN := .venv-pace/bin
TRAINCRAFT := $(BIN)/traincraft -p traincraft

export AIIDA_PATH := $(CURDIR)
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo demo-pace test test-fast lint setup setup-pace clean

.venv/.done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[pace,dev]'
	touch $@

# TensorFlow and pandas 2 live apart from AiiDA: docs/pacemaker.md says why.
.venv-pace/.done: Makefile
	$(PYTHON) -m venv .venv-pace
	$(PACE_BIN)/pip install --quiet 'python-ace>=0.4.0rc1,<0.5' 'ase>=3.27' 'pydantic>=2.7,<3' 'numpy<2.4' 'pandas<3' \
		'tensorflow-cpu==2.20.0' matscipy sympy tqdm pyyaml
	$(PACE_BIN)/pip install --quiet --no-deps 'tf_keras==2.20.1' 'tensorpotential==0.6.2.1'
	touch $@

setup: .venv/.done
	$(TRAINCRAFT) setup --create --wal

setup-pace: .venv/.done .venv-pace/.done
	$(TRAINCRAFT) setup --create --wal --python $(PACE_BIN)/python

demo: setup
	$(TRAINCRAFT) run examples/cu_demo.toml --stop-daemon
	@echo
	@echo 'Look further:'
	@echo '  AIIDA_PATH=$(CURDIR) $(TRAINCRAFT) status demo'
	@echo '  AIIDA_PATH=$(CURDIR) $(TRAINCRAFT) why $$($(BIN)/python -c "import json; print(json.load(open(\"runs/demo/summary.json\"))[\"uuids\"][\"potential\"])")'
	@echo '  AIIDA_PATH=$(CURDIR) $(BIN)/verdi -p traincraft process list -a'

demo-pace: setup-pace
	$(TRAINCRAFT) run examples/cu_pace.toml --stop-daemon

test: .venv/.done .venv-pace/.done
	$(BIN)/pytest

test-fast: .venv/.done
	$(BIN)/pytest -m 'not slow and not campaign'

lint: .venv/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv .venv-pace .aiida runs dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
