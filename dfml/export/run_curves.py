"""A run's curves as CSV and as events for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.paths import write_atomically
from dfml.core.remedies import install
from dfml.runs.folder import RunFolder

HEADER = ("curve", "step", "value")


def require_tensorboard() -> None:
    """Raise ``BadInput`` where the optional package is not installed; nothing of it is imported."""
    if find_spec("tensorboard") is None:
        raise BadInput(f"events for TensorBoard need an optional package: {install('tensorboard')}")


def numbers_of(run: RunFolder) -> Iterator[tuple[str, int, float]]:
    """Yield curve, step and value of each finite number that a run has reported.

    ``BadInput``: it has reported none.
    """
    curves = run.scalars()
    if not any(value is not None for _, values in curves.values() for value in values):
        raise BadInput(f"run {run.name} has no curves: nothing is written.")
    for name, (steps, values) in curves.items():
        yield from ((name, step, value) for step, value in zip(steps, values, strict=True) if value is not None)


def write_csv(run: RunFolder, path: Path) -> int:
    """Write a line for each number, under ``HEADER``; return how many there are. ``BadInput``: see ``numbers_of``."""
    rows = list(numbers_of(run))

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])

    write_atomically(path, write)
    return len(rows)


def write_events(run: RunFolder, folder: Path) -> int:
    """Write the same into a folder as TensorBoard reads it; return how many. ``BadInput``: no curves, no package."""
    require_tensorboard()
    rows = list(numbers_of(run))
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    with SummaryWriter(str(folder)) as writer:
        for name, step, value in rows:
            writer.add_scalar(name, value, step, walltime=run.created)
    return len(rows)
