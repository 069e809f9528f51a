"""Inverters: recovering a pseudo task from a teacher. Importing this registers those of every file here."""

import importlib
import pkgutil

from dfml.inversion.base import INVERTERS, InversionStep, Inverter

_NOT_INVERTERS = {"consensus", "pipeline", "recipe"}  # they open zoos, which importing an inverter need not wait for
for _file in pkgutil.iter_modules(__path__):
    if _file.name not in _NOT_INVERTERS:
        importlib.import_module(f"{__name__}.{_file.name}")
INVERTERS.put_first(["pixels", "dynamic-set"])  # as they are shown

__all__ = ["INVERTERS", "InversionStep", "Inverter"]
