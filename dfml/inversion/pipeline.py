"""The recovery pipeline: from teachers to their pseudo tasks, together or in groups, whoever asks for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from dfml.core.errors import BadInput, NotFinite
from dfml.core.events import Done, Event, Images, Note, Progress, Scalars
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import labels_per_class
from dfml.inversion.recipe import Recipe
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.zeroth_order import ZerothOrderOracle

SHOWN_EVERY = 10


@dataclass(frozen=True)
class Recovered:
    """What came out for one teacher.

    Attributes:
        task: The pseudo task, where it was computed; its cost holds the teacher's share of the seconds.
        oracle: The teacher's.
        steps: How many were taken.
        together: Teachers that were recovered in step with it.
    """

    task: PseudoTask
    oracle: Oracle
    steps: int
    together: int


def recover_together(recipe: Recipe, oracles: Sequence[Oracle], generator: torch.Generator) -> Iterator[Event]:
    """Recover the tasks of one or several teachers in step; all recoveries of this program run through here.

    Args:
        recipe: How.
        oracles: The teachers'.
        generator: On the CPU.

    Yields:
        Progress, losses and images while it runs; last ``Done(list[Recovered])``.
    """
    work, device, ids = recipe.inverter, recipe.device, [o.teacher_id for o in oracles]
    labels = [labels_per_class(o.way, recipe.per_class) for o in oracles]
    text = f"teacher {ids[0]}" if len(ids) == 1 else f"{len(ids)} teachers together"
    spent, resumed, step = 0.0, time.perf_counter(), None
    for step in work.recover(list(oracles), labels, generator=generator, device=device, extra_loss=recipe.extra_loss):
        if step.step == step.total and device.type == "cuda":
            torch.cuda.synchronize(device)
        # What is done with the steps (files, images on a page) is not part of the recovery.
        spent += time.perf_counter() - resumed
        yield Progress(step.step, step.total, text)
        if step.total <= SHOWN_EVERY or step.step % SHOWN_EVERY == 0 or step.step in (1, step.total):
            yield Scalars(step.step, {f"inversion/{name}": value for name, value in step.losses.items()})
            counts = [len(y) for y in labels]
            for teacher, images, shown in zip(ids, step.images.split(counts), step.labels.split(counts), strict=True):
                yield Images(step.step, f"recovered/{teacher}", images.cpu(), shown.tolist())
        resumed = time.perf_counter()
    if step is None:
        raise BadInput(f"inverter {work.name!r} took no step.")
    for task in step.tasks:
        task.cost["seconds"] = spent / len(ids)
    yield Done([Recovered(task, o, step.total, len(ids)) for task, o in zip(step.tasks, oracles, strict=True)])


def recover_teachers(recipe: Recipe, teachers: Sequence[str | int]) -> Iterator[Event]:
    """Recover the tasks of one or several teachers of the recipe's zoo in step; see ``recover_together``.

    A teacher's first images, jitter and so on depend on the seed and its id, not on who is recovered with it;
    only ``dynamic-set`` paints one set for all that are recovered together.

    Args:
        recipe: How.
        teachers: Ids or positions.

    Raises:
        BadInput: Unknown teacher, unusable weights, or a bill above the budget.
    """
    oracles = [recipe.oracle(recipe.zoo.card(which).id) for which in teachers]
    blind = ", ".join(o.teacher_id for o in oracles if not o.gives_statistics)
    if blind and getattr(recipe.inverter.config, "bn", 0):
        yield Note(0, f"the BN term is left out for {blind}: no batch-normalisation statistics to be seen", "terms")
    for oracle in oracles:
        _check_budget(recipe, oracle)
    yield from recover_together(recipe, oracles, recipe.generator("invert"))


def after_failure(error: Exception, group: list[str], broken: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Tell what becomes of a group of teachers whose recovery failed.

    Args:
        error: Why it failed.
        group: The teachers.
        broken: Those of the zoo's teachers that are known not to be usable.

    Returns:
        Teachers that are to be left out, and groups that are to be tried instead.

    Raises:
        Exception: The error itself, where it is no fault of single teachers or of the group's size.
    """
    left_out = [teacher for teacher in group if teacher in broken]
    if isinstance(error, BadInput) and not left_out:
        raise error
    if not isinstance(error, BadInput | NotFinite) and "out of memory" not in str(error):
        raise error
    if not left_out and len(group) > 1:
        # One diverged, or all are too many for the device: smaller groups.
        size = 1 if isinstance(error, NotFinite) else len(group) // 2
        return [], [group[start : start + size] for start in range(0, len(group), size)]
    left_out = left_out or group
    rest = [teacher for teacher in group if teacher not in left_out]
    return left_out, [rest] if rest else []


def _check_budget(recipe: Recipe, oracle: Oracle) -> None:
    """Refuse a recovery whose bill is above the budget before its first question, not after its last.

    Raises:
        BadInput: It is.
    """
    if not isinstance(oracle, ZerothOrderOracle) or oracle.config.budget is None:
        return
    steps, images = int(getattr(recipe.inverter.config, "steps", 0)), oracle.way * recipe.per_class
    bill = steps * (oracle.config.q + 1) * images + images
    if bill > oracle.config.budget:
        raise BadInput(
            f"recovering teacher {oracle.teacher_id!r} asks {bill} pictures ({steps} steps, q = {oracle.config.q}, "
            f"{images} pictures), the budget is {oracle.config.budget}: raise it, or lower q, the steps or the "
            "pictures a class."
        )
