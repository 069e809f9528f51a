# What one does every day. `make test PYTHON=.venv/bin/python` takes another Python.
PYTHON ?= python

.PHONY: test lint types docs mutants

test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m pyright --pythonpath "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

# Plants each fault of tests/mutants/faults.toml in a copy and sees that its tests fail; what was stopped goes on.
mutants:
	$(PYTHON) tests/mutants/check.py --jobs 2

# The API reference, made from the docstrings: site/index.html. It leaves out the commands, the app, and what imports a
# server that is installed apart.
FILES = $(wildcard dfml/api.py dfml/*/*.py dfml/*/*/*.py)
MODULES = $(subst /,.,$(basename $(filter-out %/__init__.py dfml/cli/% dfml/ui/% %/remote/server.py,$(FILES))))
docs:
	@$(PYTHON) -m pdoc --docformat google --no-show-source --output-directory site dfml $(MODULES)
