"""Recoveries of several teachers, each in a process of its own: on this machine, or on a cluster's."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dfml.cluster import node
from dfml.cluster.fan_out import in_processes, part_of_gpu
from dfml.core.errors import BadInput, NotFinite
from dfml.core.events import Done, Event, Progress, Scalars
from dfml.runs.spec import RunSpec

if TYPE_CHECKING:
    from dfml.inversion.base import ExtraLoss
    from dfml.inversion.recipe import Recipe, WorkerArgs
    from dfml.reports.recovery import Recovery
    from dfml.zoo.listing import TeacherCard

PROGRESS, PARTS = "progress", 100
"""Folder in which processes tell how far they are, and in how many parts of a teacher."""


@dataclass(frozen=True)
class Outcome:
    """How one attempt at some teachers ended.

    Attributes:
        tag: The teacher's id, where there was one alone.
        steps: The last step that the attempt has drawn.
        problems: Why teachers, by their ids, are left out.
        curves: What has not been told while it ran.
    """

    tag: str
    steps: int
    recoveries: list[Recovery] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    curves: list[Scalars] = field(default_factory=list)


def recover_apart(recipe: Recipe, spec: RunSpec, folder: Path, teachers: list[str]) -> Iterator[Event | Outcome]:
    """Recover each teacher in a process with one thread, which writes only its progress into the run's ``folder``.

    Yields progress at least once a second, in hundredths of a teacher; ``RunFailed`` where a process died.
    """
    marks = folder / PROGRESS
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir(parents=True)
    work, done = partial(_recover_one, recipe.for_workers(), spec, marks), 0
    # At least two: one alone would run in this process, with its number of threads.
    jobs = spec.cluster or max(2, min(spec.threads or 1, len(teachers)))
    shared = {"gpu": part_of_gpu(spec.device), "marks": marks}
    folders = [recipe.zoo.source, *filter(None, [spec.against])]
    for outcome in in_processes(work, teachers, jobs=jobs, what="recovered teachers", folders=folders, **shared):
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
    from dfml.inversion.pipeline import recover_teachers, warm_up
    from dfml.nets.device import pick_device
    from dfml.reports.recovery import reported

    recipe = args.open()
    if node.is_node():
        recipe = replace(recipe, device=pick_device(spec.device)[0])
    curves: list[Scalars] = []
    try:
        if not recipe.inverter.learns:
            deque(warm_up(recipe, [teacher]), maxlen=0)  # an inverter that only meets its helpers
        recipe = replace(recipe, extra_loss=loss_against(spec, recipe, [teacher]))
        for event in reported(recipe, recover_teachers(recipe, [teacher])):
            if isinstance(event, Done):
                outcome = Outcome(teacher, max(e.step for e in curves), event.result, {}, curves)
            if isinstance(event, Scalars):
                curves.append(event)
            if isinstance(event, Progress) and event.step % max(1, event.total // 20) == 0:
                node.tell(marks, teacher, str(PARTS * event.step // event.total))
    except (BadInput, NotFinite) as error:
        if teacher not in recipe.zoo.problems and not isinstance(error, NotFinite):
            raise
        outcome = Outcome("", 0, problems={teacher: str(error)})
    node.tell(marks, teacher, str(PARTS))
    return outcome


def loss_against(spec: RunSpec, recipe: Recipe, teachers: list[str]) -> ExtraLoss | None:
    """Return the disagreement with the meta-model that the spec names, if it names a usable one."""
    if not spec.against:
        return None
    from dfml.inversion.terms import disagreement
    from dfml.meta.model import MetaModel
    from dfml.zoo.zoo import answers_only_queries

    model = MetaModel.load(Path(spec.against)).to(recipe.device)
    model.require_one_network("teachers cannot disagree with it")
    for card in map(recipe.zoo.card, teachers):
        need_same_way(spec, model.way, card)
    model.net.requires_grad_(False)
    black = any(answers_only_queries(recipe.zoo, teacher, recipe.asking) for teacher in teachers)
    distance = "l1" if black else "kl"
    return disagreement(lambda x: model.net(model.prepare(x)), weight=spec.against_weight, distance=distance)


def need_same_way(spec: RunSpec, way: int, teacher: TeacherCard) -> None:
    """``BadInput`` where a teacher has another number of classes than the model with which it is to disagree."""
    if teacher.way != way:
        raise BadInput(f"the model in {spec.against} has {way} classes, teacher {teacher.id!r} has {teacher.way}.")
