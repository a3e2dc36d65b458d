# Every target works on a fresh clone with nothing but CPython 3.10 to 3.13.
# MMSKF_VENV=PATH uses that virtual environment instead of .venv (several checkouts may share one).
# CONSTRAINTS=requirements/constraints-numpy2.txt installs numpy 2.

VENV := $(or $(MMSKF_VENV),.venv)
PY := $(VENV)/bin/python
CONSTRAINTS := requirements/constraints.txt
REQUIREMENTS := $(foreach name,runtime tests lint docs,requirements/$(name).txt)
STAMP := $(VENV)/.mmskf-$(shell cat $(REQUIREMENTS) $(CONSTRAINTS) | cksum | cut -d' ' -f1)
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))

# Busy-waiting threads slow each other down ten times if anything else runs on the same cores.
export OMP_WAIT_POLICY ?= passive
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: help env test lint docs demo clean

help:
	@echo "make demo   train, test and use a small model on data made on the spot"
	@echo "make test   the test suite"
	@echo "make lint   ruff and mypy"
	@echo "make docs   the documentation site, in site/"
	@echo "make env    the virtual environment ($(VENV))"

env: $(STAMP)
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .

$(STAMP):
	@test -x $(PY) || { \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3.10 python3; do \
	    if $$python -c '$(SUPPORTED)' 2>/dev/null; then exec $$python -m venv $(VENV); fi; \
	  done; \
	  echo "mmskf needs CPython 3.10 to 3.13: none is on the PATH. Set PYTHON=PATH to one." >&2; exit 1; }
	@echo "Installing PyTorch and the OpenMMLab stack into $(VENV): some 3 GB to download, minutes, only once"
	@$(PY) -m pip install --quiet --constraint $(CONSTRAINTS) $(addprefix -r ,$(REQUIREMENTS))
	@touch $@

# Two processes, each of which takes up to 7 GB of memory.
test: env
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile tests

lint: env
	@$(PY) -m ruff check .
	@$(PY) -m mypy

docs: env
	@$(PY) -m sphinx -q -W --keep-going -c docs . site

demo: env
	@PYTHON=$(PY) bash demo/demo.sh

clean:
	rm -rf build dist site *.egg-info demo_output
