"""What an inverter learns from other teachers before it meets the asked ones, kept for the next time."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Images, Note, Progress, Scalars
from dfml.core.paths import cache_root
from dfml.core.seeds import derive_seed
from dfml.inversion.base import Inverter
from dfml.nets.checkpoint import load_checkpoint, save_checkpoint
from dfml.zoo.oracles.choose import AskingConfig, make_oracle
from dfml.zoo.remote.remote_zoo import RemoteZoo
from dfml.zoo.zoo import Zoo

FORMAT = 2
SAVED_EVERY = 20
"""Steps between two times that it is kept,"""
SAVED_SECONDS = 20.0
"""or seconds, whichever comes first."""
SHOWN = 50
WAIT_SECONDS = 0.5
SHOWN_EVERY = 5


@dataclass(frozen=True)
class WarmUp:
    """What it was and what it cost.

    Attributes:
        steps: Meta-steps; 0 where nothing is learned.
        seconds: Wall clock, also where it was done at another time.
        teachers: How many took part.
        met_the_asked: Whether the asked teachers were among them, so that they are no longer unseen.
        kept: Whether it was taken from the cache.
        queries: Pictures that those teachers looked at this time; 0 where it was kept.
    """

    steps: int
    seconds: float
    teachers: int
    met_the_asked: bool
    kept: bool
    queries: int = 0


def warm_up(
    zoo: Zoo, work: Inverter, asked: Sequence[str], *, seed: int, device: torch.device, asking: AskingConfig
) -> Iterator[Event]:
    """Let an inverter learn from the teachers of a zoo that are not asked.

    A warm-up of the same inverter, config, teachers and seed is done once and kept below ``cache_root()``; one
    that was interrupted goes on.

    Args:
        zoo: The zoo.
        work: The inverter; changed in place.
        asked: Ids of the teachers that will be inverted. Where they are the whole zoo, all take part.
        seed: Draws everything.
        device: Where to compute.
        asking: How teachers are questioned.

    Yields:
        Progress, losses and pictures; last ``Done(WarmUp)``, or ``Done(None)`` for inverters that use no others.
    """
    if not work.uses_others:
        yield Done(None)
        return
    others = [card.id for card in zoo.cards if card.id not in asked]
    met = not others and work.learns
    if not work.learns:
        others = neighbours(zoo, asked)
    elif met:
        others = list(asked)
    oracles, generator = [], torch.Generator().manual_seed(derive_seed(seed, "warm-up"))
    for position, teacher_id in enumerate(others):
        yield Progress(position, len(others), "meeting the other teachers")
        try:
            oracles.append(make_oracle(zoo, teacher_id, asking, generator=generator, device=device))
        except BadInput as error:
            yield Note(0, f"teacher {teacher_id} takes no part: {error}", "problem")
    if not work.learns:
        for _ in work.fit(oracles, generator=generator, device=device):
            pass
        yield Done(WarmUp(0, 0.0, len(oracles), False, False))
        return
    if not oracles:
        raise BadInput(f"zoo {zoo.name!r} has no teacher that {work.name} could warm up on.")
    path = _place(zoo, work, [o.teacher_id for o in oracles], seed, asking, device)
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
            if step.step % SAVED_EVERY == 0 or step.step == step.total:
                yield Images(step.step, "warm-up", step.images[:SHOWN].cpu(), step.labels[:SHOWN].tolist())
            if step.step % SAVED_EVERY == 0 or step.step == step.total or spent - kept_at >= SAVED_SECONDS:
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


def describe(found: WarmUp | None) -> dict[str, Any] | None:
    """For a report."""
    return None if found is None else asdict(found)


def _place(zoo: Zoo, work: Inverter, others: list[str], seed: int, asking: AskingConfig, device: torch.device) -> Path:
    facts = {
        "format": FORMAT,
        "torch": torch.__version__,
        "device": device.type,
        "inverter": work.name,
        "config": json.loads(work.config.model_dump_json()),
        "asking": json.loads(asking.model_dump_json()),
        "zoo": zoo.name if isinstance(zoo, RemoteZoo) else "",
        "teachers": [(zoo.card(i).model_dump_json(), zoo.card(i).sha256 or _file_mark(zoo, i)) for i in others],
        "seed": seed,
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return cache_root() / "warm-ups" / f"{work.name}-{key}.safetensors"


def _file_mark(zoo: Zoo, teacher_id: str) -> str:
    """Stands in for the digest of a plain timm folder."""
    if isinstance(zoo, RemoteZoo):
        return ""
    found = (zoo.folder / teacher_id / "model.safetensors").stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


def _keep(path: Path, work: Inverter, generator: torch.Generator, seconds: float) -> None:
    save_checkpoint(path, {**work.state(), "generator": generator.get_state()}, {"seconds": seconds})


def _restore(path: Path, work: Inverter, generator: torch.Generator, device: torch.device) -> float:
    """Seconds that the kept part took, 0 where there is none."""
    if not path.is_file():
        return 0.0
    try:
        state, about = load_checkpoint(path)
    except BadInput:
        return 0.0  # damaged: it is only a cache
    generator.set_state(state.pop("generator"))
    work.load({n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in state.items()})
    return float(about["seconds"])
