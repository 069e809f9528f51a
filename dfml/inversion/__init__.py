"""Inverters: recovering a pseudo task from a teacher."""

from dfml.inversion import (  # noqa: F401, I001 - registers the inverters, in the order in which they are shown
    pixels,
    dynamic_set_inverter,
    generator,
    meta_generator,
    sparse,
)
from dfml.inversion.base import INVERTERS, InversionStep, Inverter

__all__ = ["INVERTERS", "InversionStep", "Inverter"]
