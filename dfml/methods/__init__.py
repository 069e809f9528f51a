"""The methods: one paper, one file, one class; beside them baselines. Importing this registers every file here."""

import importlib
import pkgutil

from dfml.training.method import METHODS, Method

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
METHODS.put_first(sorted(METHODS))

__all__ = ["METHODS", "Method"]
