"""Runs as the pages see them: a row each, whatever state their folders are in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from dfml.core.texts import printable
from dfml.core.time_left import in_words
from dfml.runs.folder import RunFolder, list_runs
from dfml.runs.spec import RunSpec
from dfml.runs.status import ACTIVE
from dfml.ui.charts.curves import Curve
from dfml.ui.widgets.navigation import INVERSION, TRAINING
from dfml.ui.widgets.texts import counted

PAGES = {"train": TRAINING, "invert": INVERSION}


@dataclass(frozen=True)
class RunRow:
    """A run in a list; one that cannot be read has an empty kind, no ``spec``, and says why in ``message``.

    Attributes:
        total: Steps in all, 0 where unknown.
        created: Seconds since 1970.
        left: How long it will still work, in words; empty where that is not known.
    """

    name: str
    path: Path
    kind: str
    title: str
    state: str
    step: int
    total: int
    message: str
    created: float
    spec: RunSpec | None
    left: str = ""

    @property
    def run(self) -> RunFolder:
        """Its folder. Readers of its metrics are shared, so opening it again costs nothing."""
        return RunFolder(self.path)

    @property
    def age(self) -> str:
        """How long ago it was made: ``just now``, ``5 min ago``, ``3 h ago`` or ``2 days ago``."""
        minutes = int(time.time() - self.created) // 60
        if minutes < 60:
            return f"{minutes} min ago" if minutes > 0 else "just now"
        return f"{minutes // 60} h ago" if minutes < 1440 else f"{counted(minutes // 1440, 'day')} ago"

    @property
    def active(self) -> bool:
        """Whether its numbers may still change."""
        return self.state in ACTIVE

    @property
    def share(self) -> float | None:
        """Share done, in [0, 1]; a finished run is, also one without steps. None where it is not known."""
        if self.state == "finished":
            return 1.0
        return min(1.0, self.step / self.total) if self.total else None


def read_row(run: RunFolder) -> RunRow:
    """Return one run's row; a damaged or foreign folder gives a row that says so."""
    status, spec = run.status(), None if run.problem else run.spec
    kind, message = spec.kind if spec else "", printable(status.error or "", 800)
    left = f"{in_words(status.eta_range)} left" if status.eta_range and status.state == "running" else ""
    state = (status.state, status.step, status.total)
    return RunRow(run.name, run.path, kind, run.title, *state, message, run.created, spec, left)


def run_rows(*kinds: str) -> list[RunRow]:
    """Return all runs, or those of some kinds (an empty one: folders that cannot be read), the newest first."""
    rows = [read_row(run) for run in list_runs()]
    return [row for row in rows if not kinds or row.kind in kinds]


def page_of(row: RunRow) -> tuple[str | None, dict[str, str]]:
    """Return the page that shows the run, and the parameters of its link."""
    return PAGES.get(row.kind), {"run": row.name}


def finite(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Leave out the points that are not finite, and curves that have no point then."""
    found = {}
    for name, (steps, values) in curves.items():
        pairs = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
        if pairs:
            found[name] = ([step for step, _ in pairs], [value for _, value in pairs])
    return found


def plottable(run: RunFolder) -> dict[str, Curve]:
    """Return a run's curves, as ``finite``."""
    return finite(run.scalars())
