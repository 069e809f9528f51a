"""``--calibrate`` and its ``--set``, wherever a model adapts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfml.core.errors import BadInput

if TYPE_CHECKING:
    from dfml.meta.calibration import Icfil


def chosen_calibrator(name: str | None, changes: list[str] | None) -> Icfil | None:
    """The calibrator of that name with its options changed; None where none is wanted.

    Raises:
        BadInput: Unknown name or option, or options without a calibrator.
    """
    from dfml.meta.calibration import CALIBRATORS

    if name is None:
        if changes:
            raise BadInput("--set changes options of the calibration: give --calibrate icfil with it.")
        return None
    calibrator = CALIBRATORS.get(name)
    return calibrator(calibrator.preset("demo").override(changes or []))
