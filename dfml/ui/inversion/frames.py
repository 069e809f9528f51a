"""The stored images of a recovery, step by step, each with its own step and its share of the way."""

from __future__ import annotations

from dataclasses import dataclass

from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.status import RunStatus
from dfml.ui.charts.curve_math import Curve
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.runs.image_grids import Sheet, open_sheet
from dfml.ui.runs.run_rows import finite

WARM_UP = "warm-up"
RECOVERED = "recovered/"


@dataclass(frozen=True)
class Frame:
    """Images at a step of the inverter, from 1, of ``total`` (0 where that cannot be told yet)."""

    step: int
    total: int
    entry: StoredImages

    def sheet(self) -> Sheet | None:
        """Its images; None where the file has gone."""
        return open_sheet(self.entry)

    @property
    def label(self) -> str:
        """``step 20 of 40``."""
        return f"step {self.step} of {self.total}" if self.total else f"step {self.step}"


def teachers_of(run: RunFolder, stored: list[StoredRecovery]) -> list[str]:
    """The teachers that the run has images of, or was ordered to recover."""
    seen = [entry.tag.removeprefix(RECOVERED) for entry in run.images() if entry.tag.startswith(RECOVERED)]
    ordered = [] if run.spec.teachers == ["all"] else run.spec.teachers
    return list(dict.fromkeys([*ordered, *(found.teacher for found in stored), *seen]))


def frames(run: RunFolder, status: RunStatus, teacher: str, stored: StoredRecovery | None = None) -> list[Frame]:
    """The stored images of one teacher's recovery, oldest first.

    A run's steps go on counting from the warm-up and from the teachers before; a recovery's first
    images are always kept and are those of its step 1.
    """
    entries = [entry for entry in run.images() if entry.tag == f"{RECOVERED}{teacher}" and entry.labels]
    if not entries:
        return []
    before = entries[0].step - 1
    total = steps_in_all(run, status, stored)
    return [Frame(entry.step - before, max(total, entries[-1].step - before), entry) for entry in entries]


def steps_in_all(run: RunFolder, status: RunStatus, stored: StoredRecovery | None) -> int:
    """How many steps the recovery takes; 0 where that cannot be told."""
    if stored and isinstance(stored.report.get("steps"), int):
        return stored.report["steps"]
    planned = run.spec.config.get("steps")
    if isinstance(planned, int):
        return planned
    return status.total if len(run.spec.teachers) == 1 else 0


def at_share(found: list[Frame], share: float) -> Frame | None:
    """The frame nearest to a share of the way: 0 is the first step, 1 the last.

    Of a recovery that has not come that far yet it is the newest.
    """
    if not found:
        return None
    wanted = 1 + share * (max(found[-1].total, found[-1].step) - 1)
    return min(found, key=lambda frame: (abs(frame.step - wanted), -frame.step))


def warming(run: RunFolder) -> StoredImages | None:
    """The newest images of the warm-up, where the run has one."""
    return next((entry for entry in reversed(run.images()) if entry.tag == WARM_UP and entry.labels), None)


def own_curves(run: RunFolder, teacher: str) -> dict[str, Curve]:
    """One teacher's curves with the recovery's own steps, from 1; a warm-up keeps its meta-steps."""
    found = run.scalars(teacher)
    if not any(name.startswith("inversion/") for name in found):
        found = run.scalars()  # teachers recovered together have curves in common
    starts = [steps[0] for name, (steps, _) in found.items() if name.startswith("inversion/") and steps]
    before = min(starts) - 1 if starts else 0
    shifted = {
        name: ([step - before * name.startswith("inversion/") for step in steps], values)
        for name, (steps, values) in finite(found).items()
    }
    return {name: curve for name, curve in shifted.items() if len(curve[0]) > 1}
