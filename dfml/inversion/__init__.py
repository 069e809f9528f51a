"""Inverters: recovering a pseudo task from a teacher. Every inverter's file here is known by its place."""

from dfml.inversion.base import INVERTERS, InversionStep, Inverter

INVERTERS.find_in(__name__, __path__[0])
INVERTERS.put_first(["pixels", "dynamic-set"])  # as they are shown

__all__ = ["INVERTERS", "InversionStep", "Inverter"]
