"""Recovering many teachers on a CPU: one process a thread."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dfml.core.errors import BadInput, NotFinite
from dfml.core.events import Done, Event, Progress, Scalars
from dfml.core.process import in_processes
from dfml.runs.jobs.context import against
from dfml.runs.spec import RunSpec

if TYPE_CHECKING:
    from dfml.inversion.recipe import Recipe, WorkerArgs
    from dfml.reports.recovery import Recovery

PROGRESS = "progress"
PARTS = 100


@dataclass(frozen=True)
class Outcome:
    """How one attempt at some teachers ended.

    Attributes:
        tag: The teacher's id, where there was one alone.
        steps: The last step that the attempt has drawn.
        problems: Why teachers are left out.
        curves: What has not been told while it ran.
    """

    tag: str
    steps: int
    recoveries: list[Recovery] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    curves: list[Scalars] = field(default_factory=list)


def recover_apart(recipe: Recipe, spec: RunSpec, folder: Path, teachers: list[str]) -> Iterator[Event | Outcome]:
    """Recover each teacher in a process with one thread, which writes only its progress into the run's ``folder``.

    Yields:
        Progress at least once a second, in hundredths of a teacher, and an ``Outcome`` whenever one is done.

    Raises:
        RunFailed: A process died.
    """
    marks = folder / PROGRESS
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir(parents=True)
    work, done = partial(_recover_one, recipe.for_workers(), spec, marks), 0
    # At least two: one alone would run in this process, with its number of threads.
    jobs = max(2, min(spec.threads or 1, len(teachers)))
    for outcome in in_processes(work, teachers, jobs=jobs, what="recovered teachers"):
        done += outcome is not None
        # Even where all were done between two looks, the run has told how far it was.
        told = [path.read_text(encoding="ascii", errors="ignore") for path in marks.iterdir()]
        parts = sum(int(text) for text in told if text.isdigit())
        yield Progress(parts, PARTS * len(teachers), f"{done} of {len(teachers)} teachers recovered")
        if outcome is not None:
            yield outcome
    shutil.rmtree(marks, ignore_errors=True)


def _recover_one(args: WorkerArgs, spec: RunSpec, marks: Path, teacher: str) -> Outcome:
    """In a process of its own: recover one teacher."""
    from dfml.inversion.pipeline import recover_teachers
    from dfml.inversion.warm_up import warm_up
    from dfml.reports.recovery import reported

    recipe, mark = args.open(), marks / teacher
    curves: list[Scalars] = []
    try:
        if not recipe.inverter.learns:
            for _ in warm_up(recipe, [teacher]):
                pass  # an inverter that only meets its helpers
        recipe = replace(recipe, extra_loss=against(spec, recipe.zoo, [teacher], recipe.device))
        for event in reported(recipe, recover_teachers(recipe, [teacher])):
            if isinstance(event, Done):
                outcome = Outcome(teacher, max(e.step for e in curves), event.result, {}, curves)
            if isinstance(event, Scalars):
                curves.append(event)
            if isinstance(event, Progress) and event.step % max(1, event.total // 20) == 0:
                mark.write_text(str(PARTS * event.step // event.total), encoding="ascii")
    except (BadInput, NotFinite) as error:
        if teacher not in recipe.zoo.problems and not isinstance(error, NotFinite):
            raise
        outcome = Outcome("", 0, problems={teacher: str(error)})
    mark.write_text(str(PARTS), encoding="ascii")
    return outcome
