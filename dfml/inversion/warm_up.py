"""What an inverter learns from other teachers before it meets the asked ones, kept for the next time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Images, Note, Progress, Scalars
from dfml.inversion.base import Inverter
from dfml.inversion.kept import kept_path, read_kept, write_kept
from dfml.inversion.recipe import Recipe, WarmUp
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.choose import make_oracle
from dfml.zoo.zoo import Zoo

FORMAT = 2
SAVED_EVERY = 20
"""Steps between two times that it is kept,"""
SAVED_SECONDS = 20.0
"""or seconds, whichever comes first."""
SHOWN = 50
WAIT_SECONDS = 0.5
SHOWN_EVERY = 5


def warm_up(recipe: Recipe, asked: Sequence[str]) -> Iterator[Event]:
    """Let an inverter learn from the teachers of a zoo that are not asked.

    A warm-up of the same inverter, config, teachers and seed is done once and kept below ``cache_root()``; one
    that was interrupted goes on.

    Args:
        recipe: Its inverter is changed in place.
        asked: Ids of the teachers that will be inverted. Where they are the whole zoo, all take part.

    Yields:
        Progress, losses and images; last ``Done(WarmUp)``, or ``Done(None)`` for inverters that use no others.
    """
    zoo, work, device = recipe.zoo, recipe.inverter, recipe.device
    if not work.uses_others:
        yield Done(None)
        return
    others = [i for i in zoo.ids if i not in asked] if work.learns else neighbours(zoo, asked)
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
    facts = recipe.facts(FORMAT) | {"teachers": [recipe.facts_of(o.teacher_id) for o in oracles]}
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
        spent = _restore(path, work, generator, device)
        kept, resumed, saved, kept_at = spent > 0, time.perf_counter(), True, spent
        for step in work.fit(oracles, generator=generator, device=device):
            kept = saved = False
            spent += time.perf_counter() - resumed
            yield Progress(step.step, step.total, "warming up on other teachers")
            if step.step % SHOWN_EVERY == 0 or step.step in (1, step.total):
                yield Scalars(step.step, {f"warm-up/{name}": value for name, value in step.losses.items()})
            due = step.step % SAVED_EVERY == 0 or step.step == step.total
            if due:
                yield Images(step.step, "warm-up", step.images[:SHOWN].cpu(), step.labels[:SHOWN].tolist())
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


def neighbours(zoo: Zoo, asked: Sequence[str]) -> list[str]:
    """Ids of the teachers that share a class with another asked one, in the zoo's order."""
    keys = {teacher: set(found) for teacher, found in zoo.class_keys().items()}
    return [i for i in zoo.ids if any(i != one and keys[i] & keys[one] for one in asked)]


def _keep(path: Path, work: Inverter, generator: torch.Generator, seconds: float) -> None:
    write_kept(path, {**work.state(), "generator": generator.get_state()}, {"seconds": seconds})


def _restore(path: Path, work: Inverter, generator: torch.Generator, device: torch.device) -> float:
    """Seconds that the kept part took, 0 where there is none."""
    found = read_kept(path)
    if found is None:
        return 0.0
    state, about = found
    generator.set_state(state.pop("generator"))
    work.load({n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in state.items()})
    return float(about["seconds"])
