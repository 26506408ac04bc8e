# `make demo` and `make test` install everything themselves, into .venv; `make serve` into
# .venv-serving, which has no TensorFlow.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_DATA := data/synthetic
RUNS := runs
SERVING := .venv-serving
MODEL ?= pretrained/idrid_referable
CHECK_PYTHON = @$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Retinograd needs Python 3.11, 3.12 or 3.13. Received: %d.%d. Name another one: make PYTHON=python3.12" % v)'

.PHONY: demo test lint tensorboard serve clean

demo: $(VENV)/.installed
	$(BIN)/python -m input_pipeline.datasets.synthetic_idrid --output_dir=$(DEMO_DATA)
	$(BIN)/python main.py --gin_file=configs/synthetic_resnet_v2.gin --data_dir=$(DEMO_DATA)

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

tensorboard: $(VENV)/.installed
	$(BIN)/tensorboard --logdir=$(RUNS)

serve: $(SERVING)/.installed
	$(SERVING)/bin/python -m serving $(MODEL)

clean:
	rm -rf $(VENV) $(SERVING) $(DEMO_DATA)

$(VENV)/.installed: requirements.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

$(SERVING)/.installed: serving/requirements.txt serving/requirements-page.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(SERVING)
	$(SERVING)/bin/python -m pip install --quiet --disable-pip-version-check --requirement serving/requirements-page.txt
	@touch $@
