# One target for each thing a person does. `make demo` and `make test` work straight after `git clone`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench songbook songbook-tags songbook-more songbook-order train-mini mini-code setup system browser clean

demo: setup  ## render songs never heard in training, search them by description, write demo_output/index.html
	$(BIN)/collap demo

test: setup browser  ## every test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## speed and memory, as ratios measured in one run
	$(BIN)/python -m benchmarks

SONGBOOK ?= --songwriter 500 --renderings 5 --augment

songbook: setup  ## songs with exact captions in data/songbook; SONGBOOK="..." sets the builder's options
	$(BIN)/python -m dataset_scripts.songbook --output data/songbook $(SONGBOOK)

songbook-tags songbook-more songbook-order: setup  ## other renderings of the same songs, for the later stages of train-mini
	$(BIN)/python -m dataset_scripts.songbook --output data/$@ $(SONGBOOK) --renderings 4 --first-rendering $(FIRST)

songbook-tags: FIRST := 5
songbook-more: FIRST := 9
songbook-order: FIRST := 13

train-mini: songbook songbook-tags songbook-more songbook-order  ## train collap-mini by its recipes; the result is runs/collap-mini-short/mean
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini.yaml
	$(BIN)/python -m training_collap.average runs/collap-mini/checkpoint-* --output runs/collap-mini/mean
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini-varied.yaml
	$(BIN)/python -m training_collap.average runs/collap-mini-varied/checkpoint-* --output runs/collap-mini-varied/mean
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini-tags.yaml
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini-whole.yaml
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini-moments.yaml
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini-order.yaml
	$(BIN)/accelerate launch --num_cpu_threads_per_process $$(nproc) train.py recipes/collap-mini-short.yaml
	$(BIN)/python -m training_collap.average runs/collap-mini-order runs/collap-mini-short --output runs/collap-mini-short/mean

mini-code: setup  ## bring the code beside collap-mini's weights up to date
	$(BIN)/python -c "from modeling_collap import CollapModel; from processing_collap import CollapProcessor; \
	  mini = 'checkpoints/collap-mini'; CollapModel.from_pretrained(mini).save_pretrained(mini); \
	  CollapProcessor.from_pretrained(mini).save_pretrained(mini)"

setup: system $(READY)

# FFmpeg decodes; torchcodec is linked to Python's shared library, which Debian packs apart from Python.
system:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11, or name it with 'make PYTHON=...'." >&2; exit 1; }
	@missing=; \
	command -v ffmpeg >/dev/null || missing="$$missing ffmpeg"; \
	$(PYTHON) -c "import ctypes; ctypes.CDLL('libpython3.11.so.1.0')" 2>/dev/null || missing="$$missing libpython3.11"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; \
	  else echo "Missing:$$missing. Run 'sudo apt-get install$$missing', then this command again." >&2; exit 1; fi; fi

# The tests use the Space's app in a browser; where there is none, they are skipped and say so.
browser:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends chromium; else false; fi; } \
	  || echo "Chromium is missing, so the app is not tested in a browser. 'sudo apt-get install chromium' brings it." >&2

# Editable, so that the checkout is what runs; anew only when the dependencies change.
$(READY): pyproject.toml
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q python3.11-venv; \
	  else echo "Python's venv module is missing: run 'sudo apt-get install python3.11-venv', then this command again." >&2; exit 1; fi; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) *.egg-info demo_output
