"""Inverters: recovering a pseudo task from a teacher."""

from dfml.inversion import pixels  # noqa: F401 - registers the inverter
from dfml.inversion.base import INVERTERS, InversionStep, Inverter

__all__ = ["INVERTERS", "InversionStep", "Inverter"]
