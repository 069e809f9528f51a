# What one does every day. `make test PYTHON=.venv/bin/python` takes another Python.
PYTHON ?= python

.PHONY: test lint types docs

test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m pyright --pythonpath "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

# The API reference, made from the docstrings: site/index.html. It leaves out the commands, the app, and what imports a
# server that is installed apart.
FILES = $(wildcard dfml/api.py dfml/*/*.py dfml/*/*/*.py)
MODULES = $(subst /,.,$(basename $(filter-out %/__init__.py dfml/cli/% dfml/ui/% %/remote/server.py,$(FILES))))
docs:
	@$(PYTHON) -m pdoc --docformat google --no-show-source --output-directory site dfml $(MODULES)
