"""What runs give, in memory: done in a folder that is kept or in one that is not, then read from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from dfml.core.errors import RunFailed, StopRequested
from dfml.core.events import Event, Note, Progress
from dfml.core.remedies import PROGRAM
from dfml.meta.model import MetaModel
from dfml.reports.recovery import Recovery
from dfml.runs.driver import run_in_process
from dfml.runs.folder import MODEL, RECOVERED, RunFolder
from dfml.runs.metrics import Curve
from dfml.runs.spec import RunSpec

Report = Callable[[int, int, str], None]
"""Called with (done, total, text); total is 0 while nothing can be said of it. What it raises ends the work."""


@dataclass(frozen=True)
class Inverted:
    """What an ``invert`` run gave.

    Attributes:
        recoveries: By the id of each teacher its ``task`` (``images`` float32 [N, C, H, W] in [0, 1], ``labels`` int64
            [N], ``soft_targets`` float32 [N, way], the teacher's logits) and its ``report``, a table of values: how
            good it is and what it cost.
        problems: Id of each teacher that was left out, and why.
        summary: What ``result.json`` holds: means over the teachers, seconds, queries.
        curves: Numbers by name (``inversion/ce``, ...), each a list of steps and one of values.
        notes: What happened on the way, one line each.
    """

    recoveries: dict[str, Recovery] = field(repr=False)
    problems: dict[str, str]
    summary: dict[str, Any] = field(repr=False)
    curves: dict[str, Curve] = field(repr=False)
    notes: list[str]


@dataclass(frozen=True)
class Trained:
    """What a ``train`` run gave.

    Attributes:
        model: The meta-model, on the CPU; ``model.save(folder)`` writes it.
        summary: What ``result.json`` holds: ``val_accuracy``, ``test_accuracy`` and ``ci95`` in [0, 1], or None where
            there were no images to measure them on, ``seconds`` and more.
        curves: Numbers by name (``train/loss``, ``val/accuracy``, ...), each a list of steps and one of values.
        notes: What happened on the way, one line each.
    """

    model: MetaModel = field(repr=False)
    summary: dict[str, Any] = field(repr=False)
    curves: dict[str, Curve] = field(repr=False)
    notes: list[str]


def recovered(spec: RunSpec, out: str | Path | None = None, progress: Report | None = None) -> Inverted:
    """Do an ``invert`` run in ``out``, a new or empty folder, or without keeping one.

    Raises as ``run_in_process`` does, and ``StopRequested`` where it was stopped before its end.
    """
    with _done(spec, out, progress) as (folder, summary, notes):
        ids = [report["teacher"] for report in summary["teachers"]]
        recoveries = {teacher: Recovery.load(folder.path / RECOVERED / teacher) for teacher in ids}
        return Inverted(recoveries, summary["problems"], summary, folder.scalars(), notes)


def trained(spec: RunSpec, out: str | Path | None = None, progress: Report | None = None) -> Trained:
    """Do a ``train`` run; see ``recovered``."""
    with _done(spec, out, progress) as (folder, summary, notes):
        return Trained(MetaModel.load(folder.path / MODEL), summary, folder.scalars(), notes)


@contextmanager
def own_threads() -> Iterator[None]:
    """Leave the process's number of CPU threads as it was before the block."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _done(
    spec: RunSpec, out: str | Path | None, progress: Report | None
) -> Iterator[tuple[RunFolder, dict[str, Any], list[str]]]:
    """Do a run; yield its folder, result and notes while the folder is there."""
    notes: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(f"step {event.step}: {event.text}")
        elif isinstance(event, Progress) and progress:
            progress(event.step, event.total, event.text)

    # Whatever still looks into the folder must not turn a result into an error.
    with TemporaryDirectory(prefix="dfml-", ignore_cleanup_errors=True) as passing, own_threads():
        if out is None:
            folder = RunFolder.create(spec, root=Path(passing))
            try:
                summary = run_in_process(folder, on_event=listen)
            except RunFailed as error:
                error.args = (error.unkept,)
                raise
        else:
            summary = run_in_process(spec, path=out, on_event=listen)
            folder = RunFolder(Path(summary["run"]))
        if summary["state"] == "stopped":
            kept = f"; `{PROGRAM} {spec.kind} --resume --out {folder.path}` goes on" if out else ""
            raise StopRequested(f"the {spec.kind} run was stopped before its end{kept}.")
        # A folder that will be gone is not pointed to.
        yield folder, {**summary, **({"run": None, "model": None} if out is None else {})}, notes
