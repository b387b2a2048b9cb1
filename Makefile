# "make demo" and "make test" do all set-up themselves: a virtual environment in .venv, another for pacemaker's
# TensorFlow in .venv-pace, one for MACE in .venv-mace, and an AiiDA profile in .aiida. No service is needed and no other profile is touched.

PYTHON ?= python3
BIN := .venv/bin
PACE_BIN := .venv-pace/bin
MACE_BIN := .venv-mace/bin
TRAINCRAFT := $(BIN)/traincraft -p traincraft

export AIIDA_PATH := $(CURDIR)
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests side by side; each worker has a profile of its own.
WORKERS ?= 2

# Where PyPI's torch brings CUDA along and you want none:
#   make setup-mace TORCH='torch --index-url https://download.pytorch.org/whl/cpu'
TORCH ?= torch==2.13.0

# Debian's pseudopotentials for the demo with DFT; any folder with Si.pz-vbc.UPF and Al.pz-vbc.UPF will do.
PSEUDOS ?= /usr/share/espresso/pseudo

.PHONY: demo demo-pace demo-mace demo-qe test test-fast test-long lint setup setup-pace setup-mace setup-qe setup-browser
.PHONY: setup-programs environments clean
.PHONY: coverage test-science test-aiida test-pw test-mace test-pace test-campaigns test-build test-docs

# Python compiles what is imported, once; pip would compile all that there is. Where Python is told to keep nothing, as
# in many containers, every program that starts compiles AiiDA again.
INSTALL := pip install --quiet --no-compile
unexport PYTHONDONTWRITEBYTECODE

.venv/.done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/$(INSTALL) --editable '.[pace,dev]'
	touch $@

# TensorFlow and pandas 2 live apart from AiiDA: docs/pacemaker.md says why.
.venv-pace/.done: Makefile
	$(PYTHON) -m venv .venv-pace
	$(PACE_BIN)/$(INSTALL) 'python-ace>=0.4.0rc1,<0.5' 'ase>=3.27' 'pydantic>=2.7,<3' 'numpy<2.4' 'pandas<3' \
		'tensorflow-cpu==2.20.0' matscipy sympy tqdm pyyaml
	$(PACE_BIN)/$(INSTALL) --no-deps 'tf_keras==2.20.1' 'tensorpotential==0.6.2.1'
	touch $@

# torch first: mace-torch alone would choose a build by itself.
.venv-mace/.done: Makefile
	$(PYTHON) -m venv .venv-mace
	$(MACE_BIN)/$(INSTALL) $(TORCH)
	$(MACE_BIN)/$(INSTALL) 'mace-torch==0.3.16' 'ase>=3.27' 'phonopy>=4' 'pydantic>=2.7,<3'
	touch $@

# All three, side by side.
environments:
	@$(MAKE) --no-print-directory --jobs 3 .venv/.done .venv-pace/.done .venv-mace/.done

setup: .venv/.done
	$(TRAINCRAFT) setup --create --wal

setup-pace: .venv/.done .venv-pace/.done
	$(TRAINCRAFT) setup --create --wal --python $(PACE_BIN)/python

setup-mace: .venv/.done .venv-mace/.done
	$(TRAINCRAFT) setup --create --wal --python $(MACE_BIN)/python

# Programs that are no Python packages come from Debian's packages where they can be installed; elsewhere the user has to.
define debian
	@command -v $(1) >/dev/null || { \
		apt=$$(command -v apt-get) && root=$$([ "$$(id -u)" = 0 ] || command -v sudo) && \
		$$root apt-get -qq update && $$root apt-get -qq install --no-install-recommends $(2); \
	} >/dev/null || { \
		echo '$(1) is not there and cannot be installed here. Install it and put it on the PATH:'; \
		echo '  $(3)'; \
		exit 1; \
	}
endef

# pw.x of Quantum ESPRESSO.
setup-qe:
	$(call debian,pw.x,quantum-espresso quantum-espresso-data,apt install quantum-espresso quantum-espresso-data   or   conda install -c conda-forge qe)

# Only tests need a browser.
setup-browser:
	$(call debian,chromium,chromium,apt install chromium)

demo: setup
	$(TRAINCRAFT) run examples/cu_demo.toml --stop-daemon
	@echo
	@echo 'Look further:'
	@echo '  AIIDA_PATH=$(CURDIR) $(TRAINCRAFT) status demo'
	@echo '  AIIDA_PATH=$(CURDIR) $(TRAINCRAFT) why $$($(BIN)/python -c "import json; print(json.load(open(\"runs/demo/summary.json\"))[\"uuids\"][\"potential\"])")'
	@echo '  AIIDA_PATH=$(CURDIR) $(BIN)/verdi -p traincraft process list -a'

demo-pace: setup-pace
	$(TRAINCRAFT) run examples/cu_pace.toml --stop-daemon

demo-mace: setup-mace
	$(TRAINCRAFT) run examples/cu_mace.toml --stop-daemon

demo-qe: setup-qe setup
	@test -e $(PSEUDOS)/Si.pz-vbc.UPF || { \
		echo 'There is no $(PSEUDOS)/Si.pz-vbc.UPF: apt install quantum-espresso-data, or make demo-qe PSEUDOS=FOLDER'; exit 1; }
	mkdir -p .aiida/pseudos && cp $(PSEUDOS)/Si.pz-vbc.UPF $(PSEUDOS)/Al.pz-vbc.UPF .aiida/pseudos
	$(TRAINCRAFT) pseudos install .aiida/pseudos --family lda-vbc
	$(TRAINCRAFT) run examples/silicon_qe.toml --stop-daemon

# In the order of the folders: campaigns begin early, and no worker waits for them at the end.
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25

test: environments setup-programs
	$(PYTEST)

# What takes longest: once before a change of what it tests is called done.
test-long: environments setup-programs
	$(PYTEST) -m long

setup-programs:
	@$(MAKE) --no-print-directory setup-qe || echo 'The tests that need pw.x are skipped.'
	@$(MAKE) --no-print-directory setup-browser || echo 'The tests that need a browser are skipped.'

test-fast: .venv/.done
	$(BIN)/pytest -m 'not slow and not campaign and not long'

coverage: .venv/.done
	$(BIN)/pytest --numprocesses $(WORKERS) -m 'not slow and not campaign and not long' tests/science tests/data \
		--cov=aiida_traincraft.science --cov=aiida_traincraft.data --cov-report=term:skip-covered

# Parts of "make test" for machines that have only what the part needs: the jobs of .github/workflows/ci.yml. A file may
# be in several; what it needs and does not find, it skips. tests/packaging/test_ci.py finds a file in none of them.
SOME := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile
PW_TESTS := tests/calculations/test_pw_*.py tests/cli/test_doctor.py tests/workchains/test_*qe*.py \
	tests/workchains/test_isolated_atom.py
MACE_TESTS := tests/exchange/test_export.py tests/science/models/test_mace.py tests/science/worker/tasks/test_mace_*.py \
	tests/test_private_apis.py tests/workchains/test_*mace*.py
PACE_TESTS := tests/cli/test_doctor.py tests/exchange/test_export.py tests/science/training/ace/test_pace*.py \
	tests/science/worker/tasks/test_pace_*.py tests/workchains/test_train_pace_*.py
DOCS_TESTS := tests/provenance/test_query_page.py tests/science/test_plugin_examples.py tests/test_documentation.py

test-science: .venv/.done
	$(SOME) tests/science

test-aiida: .venv/.done
	$(SOME) tests --ignore=tests/science --ignore=tests/campaigns --ignore=tests/packaging

test-pw: .venv/.done setup-qe
	$(SOME) $(PW_TESTS)

test-mace: .venv/.done .venv-mace/.done
	$(SOME) $(MACE_TESTS)

test-pace: .venv/.done .venv-pace/.done
	$(SOME) $(PACE_TESTS)

test-campaigns: .venv/.done .venv-pace/.done .venv-mace/.done setup-qe
	@$(MAKE) --no-print-directory setup-browser || echo 'The test that needs a browser is skipped.'
	$(SOME) tests/campaigns

test-build: .venv/.done
	$(BIN)/pytest tests/packaging

test-docs: .venv/.done
	$(SOME) $(DOCS_TESTS)

lint: .venv/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv .venv-pace .venv-mace .aiida runs dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
