"""The recovery pipeline: from teachers to their pseudo tasks, together or in groups, whoever asks for it.

Before it, ``warm_up``: what an inverter learns from other teachers, kept for the next time.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from dfml.core.errors import BadInput, NotFinite, is_out_of_memory
from dfml.core.events import Done, Event, Images, Note, Progress, Scalars
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import Inverter
from dfml.inversion.batched import Draws, labels_per_class
from dfml.inversion.recipe import Recipe, WarmUp, kept_path, read_kept, write_kept
from dfml.zoo.oracles.asking import refuse_above_budget
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.choose import ZerothOrderOracle, make_oracle

SHOWN_EVERY = 10
WARM_UP_FORMAT = 2
SAVED_EVERY = 20
"""Steps after which a warm-up is kept again, if ``SAVED_SECONDS`` have not passed before."""
SAVED_SECONDS = 20.0
"""Seconds after which it is kept again, if so many steps have not been taken before."""
WARM_UP_SHOWN, WARM_UP_SHOWN_EVERY = 50, 5
WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Recovered:
    """What came out for one teacher.

    Attributes:
        task: Where it was computed; its cost holds the teacher's share of the seconds.
        together: Teachers that were recovered in step with it, itself included.
    """

    task: PseudoTask
    oracle: Oracle
    steps: int
    together: int


def recover_together(recipe: Recipe, oracles: Sequence[Oracle], generator: Draws) -> Iterator[Event]:
    """Recover the tasks of one or several teachers in step; all recoveries of this program run through here.

    Given a generator for each teacher, a ``BatchedInverter`` recovers each as if it were alone, within rounding.
    Last comes ``Done(list[Recovered])``.
    """
    draws: Any = generator  # several are for a BatchedInverter alone
    work, device, ids = recipe.inverter, recipe.device, [o.teacher_id for o in oracles]
    labels = [labels_per_class(o.way, recipe.per_class) for o in oracles]
    text = f"teacher {ids[0]}" if len(ids) == 1 else f"{len(ids)} teachers together"
    spent, resumed, step = 0.0, time.perf_counter(), None
    for step in work.recover(list(oracles), labels, generator=draws, device=device, extra_loss=recipe.extra_loss):
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
    """Recover the tasks of one or several teachers (ids or positions) of the recipe's zoo; see ``recover_together``.

    A teacher's first images, jitter and so on depend on the seed and its id, not on who is recovered with it;
    only ``dynamic-set`` paints one set for all that are recovered together. ``BadInput`` for an unknown teacher,
    unusable weights, or a number of queries above the budget.
    """
    oracles = [recipe.oracle(recipe.zoo.card(which).id) for which in teachers]
    blind = ", ".join(o.teacher_id for o in oracles if not o.gives_statistics)
    if blind and getattr(recipe.inverter.config, "bn", 0):
        yield Note(0, f"the BN term is left out for {blind}: no batch-normalisation statistics to be seen", "terms")
    steps = int(getattr(recipe.inverter.config, "steps", 0))
    for oracle in oracles:
        # Refused before its first question, not after its last.
        if isinstance(oracle, ZerothOrderOracle) and oracle.config.budget is not None:
            refuse_above_budget(oracle.config, oracle.teacher_id, oracle.way * recipe.per_class, steps)
    yield from recover_together(recipe, oracles, recipe.generator("invert"))


def after_failure(error: Exception, group: list[str], broken: Collection[str]) -> tuple[list[str], list[list[str]]]:
    """Return what becomes of a group of teachers whose recovery failed; ``broken`` ones are known not to be usable.

    That is, who is to be left out, and which groups are to be tried instead. Where it is no fault of single teachers or
    of the group's size, the error itself is raised.
    """
    left_out = [teacher for teacher in group if teacher in broken]
    if isinstance(error, BadInput) and not left_out:
        raise error
    if not isinstance(error, BadInput | NotFinite) and not is_out_of_memory(error):
        raise error
    if not left_out and len(group) > 1:
        # One diverged, or all are too many for the device: smaller groups.
        size = 1 if isinstance(error, NotFinite) else len(group) // 2
        return [], [group[start : start + size] for start in range(0, len(group), size)]
    left_out = left_out or group
    rest = [teacher for teacher in group if teacher not in left_out]
    return left_out, [rest] if rest else []


def warm_up(recipe: Recipe, asked: Sequence[str]) -> Iterator[Event]:
    """Let an inverter learn from the teachers of a zoo that are not asked.

    A warm-up of the same inverter, config, teachers and seed is done once and kept below ``cache_root()``; one
    that was interrupted goes on. The recipe's inverter is changed in place. Where the teachers that will be inverted,
    whose ids are ``asked``, are the whole zoo, all take part.

    Last comes ``Done(WarmUp)``, or ``Done(None)`` for inverters that use no others.
    """
    zoo, work, device = recipe.zoo, recipe.inverter, recipe.device
    if not work.uses_others:
        yield Done(None)
        return
    if work.learns:
        others = [i for i in zoo.ids if i not in asked]
    else:  # those that share a class with another asked one
        keys = {teacher: set(found) for teacher, found in zoo.class_keys().items()}
        others = [i for i in zoo.ids if any(i != one and keys[i] & keys[one] for one in asked)]
    met = not others and work.learns
    others = list(asked) if met else others
    oracles: list[Oracle] = []
    generator = recipe.generator("warm-up")
    for position, teacher in enumerate(others):
        yield Progress(position, len(others), "meeting the other teachers")
        try:
            oracles.append(make_oracle(zoo, teacher, recipe.asking, generator=generator, device=device))
        except BadInput as error:
            yield Note(0, f"teacher {teacher} takes no part: {error}", "problem")
    if not work.learns:
        for _ in work.fit(oracles, generator=generator, device=device):
            pass
        yield Done(WarmUp(0, 0.0, len(oracles), False, False))
        return
    if not oracles:
        raise BadInput(f"zoo {zoo.name!r} has no teacher that {work.name} could warm up on.")
    facts = recipe.facts(WARM_UP_FORMAT) | {"teachers": [recipe.facts_of(o.teacher_id) for o in oracles]}
    path = kept_path("warm-ups", f"{work.name}-", facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two runs that need the same warm-up: the second waits and takes what the first has made.
    lock = FileLock(path.with_suffix(".lock"))
    while True:
        try:
            lock.acquire(timeout=WAIT_SECONDS)
            break
        except Timeout:
            yield Progress(0, 0, "waiting: another run is doing the same warm-up")
    try:
        spent = 0.0
        if found := read_kept(path):
            learned, spent = found[0], float(found[1]["seconds"])
            generator.set_state(learned.pop("generator"))
            work.load({n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in learned.items()})
        kept, resumed, saved, kept_at = spent > 0, time.perf_counter(), True, spent
        for step in work.fit(oracles, generator=generator, device=device):
            kept = saved = False
            spent += time.perf_counter() - resumed
            yield Progress(step.step, step.total, "warming up on other teachers")
            if step.step % WARM_UP_SHOWN_EVERY == 0 or step.step in (1, step.total):
                yield Scalars(step.step, {f"warm-up/{name}": value for name, value in step.losses.items()})
            due = step.step % SAVED_EVERY == 0 or step.step == step.total
            if due:
                images, labels = step.images[:WARM_UP_SHOWN], step.labels[:WARM_UP_SHOWN]
                yield Images(step.step, "warm-up", images.cpu(), labels.tolist())
            if due or spent - kept_at >= SAVED_SECONDS:
                _keep(path, work, generator, spent)
                saved, kept_at = True, spent
            resumed = time.perf_counter()
    except GeneratorExit:
        # Whoever drives has enough for now: what was learned since the last time is kept, too.
        if not saved:
            _keep(path, work, generator, spent)
        raise
    finally:
        lock.release()
    steps = int(work.state().get("meta_steps", 0))
    asked_there = sum(o.queries for o in oracles)
    yield Done(WarmUp(steps, round(spent, 3) if steps else 0.0, len(oracles), met, kept, asked_there))


def _keep(path: Path, work: Inverter, generator: torch.Generator, seconds: float) -> None:
    write_kept(path, {**work.state(), "generator": generator.get_state()}, {"seconds": seconds})
