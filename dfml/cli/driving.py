"""Driving a run from the command line: the same files, lock and worker code as the app's runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dfml.cli.output import Bar, say
from dfml.core.events import Event, Note, Progress, Scalars


class Printer:
    """Shows a run's events on stderr."""

    def __init__(self, what: str) -> None:
        self.bar = Bar(what)
        self.numbers: dict[str, float] = {}
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Progress):
            shown = " ".join(f"{name.split('/')[-1]} {value:.3g}" for name, value in self.numbers.items())
            self.bar(event.step, event.total, shown or event.text)
        elif isinstance(event, Scalars):
            wanted = ("train/loss", "train/accuracy", "val/accuracy", "inversion/ce", "inversion/teacher_accuracy")
            self.numbers.update({n: v for n, v in event.values.items() if n in wanted})
        elif isinstance(event, Note):
            say(f"step {event.step}: {event.text}")


def drive(spec: Any, out: Path | None, *, resume: bool, what: str) -> dict[str, Any]:  # noqa: ANN401 - a RunSpec
    """Run in this process, in ``out`` or a new folder of the runs' root; return the run's result.

    Raises:
        BadInput: ``out`` holds another run, or there is nothing to resume.
        RunFailed: The run failed; its folder says why.
    """
    from dfml.core.errors import BadInput
    from dfml.runs.driver import run_in_process
    from dfml.runs.folder import RunFolder

    if resume:
        if out is None:
            raise BadInput("--resume needs --out RUNDIR: the folder of the run to go on with.")
        return run_in_process(RunFolder(out), resume=True, on_event=Printer(what))
    return run_in_process(RunFolder.create(spec, path=out), on_event=Printer(what))
