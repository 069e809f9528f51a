"""Inverters: recovering a pseudo task from a teacher."""

from dfml.inversion import batched, meta_generator, pixels, sparse  # noqa: F401 - registers the inverters
from dfml.inversion.base import INVERTERS, InversionStep, Inverter

INVERTERS.put_first(["pixels", "dynamic-set"])  # as they are shown

__all__ = ["INVERTERS", "InversionStep", "Inverter"]
