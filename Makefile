# Every target sets up .venv by itself the first time (two to four minutes, about 5 GB, mostly torch); afterwards that costs nothing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
.PHONY: help demo lab test notebooks results clean

help:
	@echo "make demo       train a small VGG-SRGAN and super-resolve a photograph with it (under 10 minutes on 2 cores)"
	@echo "make lab        open the lessons in JupyterLab"
	@echo "make test       run every test and every notebook (about 10 minutes on 2 cores)"
	@echo "make notebooks  run the notebooks and store their outputs (NB='nbs/01_boltzmann.ipynb' for some)"
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
	@$(BIN)/jupyter lab nbs/index.ipynb

test: $(READY)
	@$(BIN)/python -m pytest

NB ?= $(sort $(wildcard nbs/*.ipynb))
notebooks: $(READY)
	@for nb in $(NB); do echo $$nb; VGGSR_STILL=1 $(BIN)/jupyter nbconvert --log-level=ERROR --to notebook --execute --inplace $$nb && $(BIN)/nbdev_clean --fname $$nb || exit 1; done
	@$(BIN)/nbdev_export

DATA ?= ../shared/datasets
results: $(READY)
	@$(BIN)/vggsr_demo --fresh --results data/results
	@$(BIN)/vggsr_eval --method bicubic --data Set5,Set14,BSD100 --root $(DATA) --out out/bicubic && cp out/bicubic/table.json data/results/bicubic.json
	@$(BIN)/python benchmarks/lessons.py

clean:
	rm -rf .venv build dist *.egg-info _docs _proc
