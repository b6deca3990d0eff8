# Every target sets up .venv by itself the first time (two to four minutes, about 5 GB, mostly torch); afterwards that costs nothing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
.PHONY: help demo lab test test-browser notebooks models table results clean

help:
	@echo "make demo       train a small VGG-SRGAN and super-resolve a photograph with it (under 10 minutes on 2 cores)"
	@echo "make lab        open the lessons in JupyterLab"
	@echo "make test       run every test and every notebook (about 10 minutes on 2 cores)"
	@echo "make test-browser  every lesson in JupyterLab, in chromium: run, move every slider (about 15 minutes; STORE=1 keeps the interaction times)"
	@echo "make notebooks  run the notebooks and store their outputs (NB='nbs/01_boltzmann.ipynb' for some)"
	@echo "make models     train all models that ship, on a GPU, and measure them (IMAGES=folders, PRESET=cpu for what two cores can do); goes on where it stopped"
	@echo "make results    measure anew what the README and the lessons quote (DATA=folder of Set5, Set14, BSD100)"
	@echo "make clean      remove .venv and what was built"

$(READY): settings.ini setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "make: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "setting up .venv, once: a few minutes"; $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > .venv/share/jupyter/lab/settings/overrides.json
	@touch $@

demo: $(READY)
	@$(BIN)/vggsr_demo

lab: $(READY)
	@JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab nbs --LabApp.default_url=/lab/tree/index.ipynb $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB)

test: $(READY)
	@$(BIN)/python -m pytest

CHROMIUM ?= $(shell command -v chromium || command -v google-chrome || command -v chromium-browser)
SUDO = $(if $(filter-out 0,$(shell id -u)),sudo -n)
test-browser: $(READY)
	@test -n "$(CHROMIUM)" || { echo "installing chromium, once"; $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium >/dev/null; } || \
	  { echo "make: no chromium here; install it (sudo apt-get install chromium) or name one: make test-browser CHROMIUM=/path/to/chromium"; exit 1; }
	@CHROMIUM="$(CHROMIUM)" $(BIN)/python -m pytest -o addopts= -v $(if $(STORE),--store) $(or $(T),tests/browser)

NB ?= $(sort $(wildcard nbs/*.ipynb))
notebooks: $(READY)
	@for nb in $(NB); do echo $$nb; VGGSR_STILL=1 $(BIN)/jupyter nbconvert --log-level=ERROR --to notebook --execute --ExecutePreprocessor.store_widget_state=False --inplace $$nb && $(BIN)/nbdev_clean --fname $$nb || exit 1; done
	@$(BIN)/nbdev_export

DATA ?= $(or $(VGGSR_DATA),../shared/datasets)
IMAGES ?= $(DATA)/BSDS400,$(DATA)/T91,$(DATA)/SunHays80
PRESET ?= models
TABLE := table.md table.csv table.json table.png plane.png Set5_img_003.jpg Set14_img_005.jpg BSD100_img_013.jpg
models: $(READY)
	@$(BIN)/python benchmarks/models.py --images $(IMAGES) --preset $(PRESET) --runs runs/$(PRESET)
	@$(MAKE) --no-print-directory table

table: $(READY)
	@$(BIN)/vggsr_eval --table --root $(DATA) --pictures Set5/img_003,Set14/img_005,BSD100/img_013 --out out/table
	@for f in $(TABLE); do cp out/table/$$f data/results/$$f || exit 1; done

results: $(READY)
	@$(BIN)/vggsr_demo --fresh --results data/results
	@$(MAKE) --no-print-directory table
	@$(BIN)/python benchmarks/lessons.py

clean:
	rm -rf .venv build dist *.egg-info _docs _proc
