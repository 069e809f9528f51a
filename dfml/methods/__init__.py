"""The methods: one paper, one file, one class. Importing this package registers every file of the folder."""

import importlib
import pkgutil

from dfml.training.method import METHODS, Method

__all__ = ["METHODS", "Method"]

for _file in sorted(found.name for found in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_file}")
