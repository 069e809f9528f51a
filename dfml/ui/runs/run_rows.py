"""Runs as the pages see them: a row each, whatever state their folders are in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from dfml.core.texts import printable
from dfml.core.time_left import in_words
from dfml.runs.folder import RunFolder, list_runs
from dfml.runs.spec import RunSpec
from dfml.ui.widgets.navigation import INVERSION, TRAINING
from dfml.ui.widgets.theme import ACTIVE

PAGES = {"train": TRAINING, "invert": INVERSION}


@dataclass(frozen=True)
class RunRow:
    """A run in a list.

    Attributes:
        name: Its folder's name.
        path: Its folder.
        kind: train, invert, pretrain, or an empty string where it cannot be read.
        title: What people call it.
        state: See ``RunStatus``.
        step: Steps done.
        total: Steps in all, 0 where unknown.
        message: Why it failed, crashed or cannot be read.
        created: Seconds since 1970.
        spec: Its order, or None where it cannot be read.
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
    def age(self) -> str:
        """How long ago it was made, in words."""
        return age(time.time() - self.created)

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


def age(seconds: float) -> str:
    """``just now``, ``5 min ago``, ``3 h ago`` or ``2 days ago``."""
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h ago"
    days = int(seconds // 86400)
    return f"{days} day{'s' * (days > 1)} ago"


def read_row(run: RunFolder) -> RunRow:
    """One run's row; a damaged or foreign folder gives a row that says so."""
    status = run.status()
    spec = None if run.problem else run.spec
    return RunRow(
        name=run.name,
        path=run.path,
        kind=spec.kind if spec else "",
        title=run.title,
        state=status.state,
        step=status.step,
        total=status.total,
        message=printable(status.error or "", 800),
        created=run.created,
        spec=spec,
        left=f"{in_words(status.eta_range)} left" if status.eta_range and status.state == "running" else "",
    )


def run_rows(*kinds: str) -> list[RunRow]:
    """All runs, the newest first.

    Args:
        *kinds: Only these kinds; an empty text stands for folders that cannot be read. None means all.
    """
    rows = [read_row(run) for run in list_runs()]
    return [row for row in rows if not kinds or row.kind in kinds]


def active_rows() -> list[RunRow]:
    """The runs that wait or work now."""
    return [row for row in run_rows() if row.active]


def page_of(row: RunRow) -> tuple[str | None, dict[str, str]]:
    """The page that shows the run, and the parameters of its link."""
    return PAGES.get(row.kind), {"run": row.name}


def open_run(row: RunRow) -> RunFolder:
    """The folder of a row. Readers of its metrics are shared, so opening it again costs nothing."""
    return RunFolder(row.path)


def plottable(run: RunFolder) -> dict[str, tuple[list[int], list[float]]]:
    """A run's curves without the points that were not finite, and without curves that have no point."""
    found = {}
    for name, (steps, values) in run.scalars().items():
        pairs = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
        if pairs:
            found[name] = ([step for step, _ in pairs], [value for _, value in pairs])
    return found
