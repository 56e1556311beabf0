# make demo   refines a real clip (or your own: make demo POSE=x.pose) and draws before and after
# make test   runs the tests
# make lint   runs ruff and mypy
# make benchmark DATA=folder   measures the model against the baselines (folder: with sign/train and sign/valid)
# make blender-addon   builds the zip of the Blender add-on in dist, with Blender's own tool (needs Python 3.11)
# Each sets everything up first, in .venv; only Python and git are needed.

PYTHON ?= python3
TORCH ?= torch==2.13.0
POSE ?=
DATA ?= ../shared/data
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test lint benchmark blender-addon clean

demo: $(READY)
	$(BIN)/python -m pose_diffusion.commands.demo $(if $(POSE),"$(POSE)")

# One thread each, which wait asleep: tests start processes, and busy threads of several processes slow one another down.
test: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --quiet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark: $(READY) .cache/pack.npz
	$(BIN)/python -m pose_diffusion.commands.benchmark --pack .cache/pack.npz --out runs/benchmark

blender-addon: $(READY)
	$(BIN)/python tools/build_blender_addon.py

.cache/pack.npz: | $(READY)
	$(BIN)/python -m pose_diffusion.training.pack --data "$(DATA)" --out $@

clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# torch goes first and alone: where pip finds a CPU build (see README) it takes that, and the next line keeps what is there
# instead of fetching gigabytes of CUDA libraries.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "pose_diffusion needs Python 3.10 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python cannot make virtual environments here. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): some minutes the first time"
	@$(PIP) "$(TORCH)"
	@$(PIP) --editable '.[dev]'
	@touch $@
