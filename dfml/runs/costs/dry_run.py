"""The process that measures what a training will cost: ``python -m dfml.runs.costs.dry_run FOLDER``, see ``cost``.

It does the method's own training several times, each time for a few iterations, with images of the real sizes but
recovered in one step or two, of a few teachers, in a folder that is thrown away, also where it is stopped. What comes
more than once is told apart by what the method reports: an iteration, a step of a recovery, an episode of a validation.
From what one of each takes follows the whole; what plateaus decide nobody knows beforehand, and is between its bounds.
Where the time for it is over before all is seen, the bounds are further apart, and the upper ones may be missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil

from dfml.core.errors import BadInput, DfmlError, is_out_of_memory
from dfml.core.events import Checkpoint, Done, Event, Images, Progress, Scalars
from dfml.runs.costs.cost import Cost, free_bytes, least_bytes, refuse_too_large
from dfml.runs.costs.extrapolation import MIB, TEACHERS, Slice, Whole, cuts_of, disk_of, queries_of, seconds_of
from dfml.runs.driver import prepare
from dfml.runs.folder import CHECKPOINTS, IMAGES, MODEL
from dfml.runs.jobs import train as job
from dfml.runs.metrics import METRICS
from dfml.runs.processes import serve
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec

if TYPE_CHECKING:
    import torch

    from dfml.core.config import Config, Options
    from dfml.training.method import Method
    from dfml.zoo.zoo import Zoo

EPISODES = 4
"""Of the test, in which an episode's time is measured."""
LIMIT_SECONDS = 100.0
"""From the beginning of the process until the last slice is broken off; what comes then takes moments."""
DOUBT = (0.8, 1.3)
"""What this machine does at other times, besides what was seen to vary."""
SPARE = 1.3
"""Of memory: what the allocator holds on to in the course of a long run."""
TELLS = {"recovering from": "recovery", "revising": "revision", "validating": "validation"}


def measure(spec: RunSpec, *, since: float | None = None, place: Path | None = None) -> Cost:
    """Measure what a training will cost here; ``since``, seconds since 1970, is when its process began.

    ``place`` is a folder that does not exist yet, and does not afterwards; by default one among the temporary files.

    Raises:
        BadInput: The run cannot be done, or needs more memory than is free.
    """
    from dfml.methods import METHODS
    from dfml.nets.device import peak_memory_mib
    from dfml.training.used_classes import as_used
    from dfml.zoo import open_zoo

    began = since or time.time()
    end = time.monotonic() + LIMIT_SECONDS - (time.time() - began)
    device, _ = prepare(spec, spec.device)
    cls = METHODS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    cls.check_data(spec.data)
    zoo = as_used(open_zoo(spec.needed("zoo")), config, spec.seed)
    shape, everyone = zoo.picture_shape, list(zoo.cards)
    refuse_too_large(least_bytes(config, shape), str(device))
    free, own = free_bytes(str(device)), psutil.Process().memory_info().rss if device.type == "cpu" else 0
    black, sweep = _asks_black_boxes(config, zoo), _sweep(zoo)
    missing, revised = _missing(cls(config), config, zoo, device)
    opening = time.time() - began
    with _thrown_away(place) as folder:
        if cls.long and cls.space == "data":
            _leave_few(zoo, getattr(config, "way", 0))
        slices, asked = {}, 0.0
        for name, changes in cuts_of(config).items():
            if not slices or time.monotonic() < end:
                found = _slice(cls(config.override(changes)), zoo, spec, device, folder / name, end)
                slices |= {name: found} if found.whole or not slices else {}
                asked += found.queries
        episode = _episode_seconds(zoo, spec, config, device, EPISODES if time.monotonic() < end else 1)
        few = len(zoo.cards)
        recoveries = _recoveries(cls(config), config, len(everyone), missing)
        whole = Whole(config, recoveries, revised, len(everyone) / few, sweep / max(1, _sweep(zoo)), episode)
    low, high = seconds_of(whole, slices)
    always = opening + job.TEST_EPISODES * episode
    pictures = zoo.way * max(getattr(config, "recovered_per_class", 0), getattr(config, "query_per_class", 0))
    one = 4 * shape[0] * shape[1] * shape[2] * pictures / MIB
    held = one * max(sum(most for _, most in recoveries.values()), missing) if pictures else 0.0
    peak = peak_memory_mib(device)
    most = SPARE * peak + held + sum(_weights_mib(zoo, card.id) for card in everyone[few:])
    cost = Cost(
        seconds=(DOUBT[0] * (low + always), None if high is None else DOUBT[1] * (high + always)),
        memory_mib=(peak, most if slices["base"].whole else None),
        free_mib=(free + own) / MIB,
        queries=queries_of(whole, slices) if black else None,
        disk_mib=disk_of(whole, slices, held=min(held, _most_held(config, everyone, one)), kept=one * missing / 2),
        device=str(device),
        how=_how(config, slices, time.time() - began, few, len(everyone), asked if black else 0.0),
    )
    # What this process has freed stays with it, and would now count as taken.
    refuse_too_large(max(0.0, peak * MIB - own), str(device), free)
    return cost


def _slice(method: Method, zoo: Zoo, spec: RunSpec, device: torch.device, folder: Path, end: float) -> Slice:
    """Do one short training, recorded as a real one; ``end``, of the steady clock, is when it is broken off."""
    import torch

    from dfml.training.context import Training

    folder.mkdir()
    found, start = Slice(), Path(spec.start) if spec.start else None
    generator = torch.Generator().manual_seed(spec.seed)
    training = Training(zoo, data=spec.data, device=device, generator=generator, start=start)
    events = cast(Generator[Event, None, None], method.train(training))
    with Recorder(folder, {"state": "running"}) as recorder, closing(events):
        last = time.perf_counter()
        for event in events:
            if isinstance(event, Done):
                found.queries = float(event.result.details.get("queries", 0))
                event.result.save(folder / MODEL)
                break
            if isinstance(event, Scalars):
                found.queries = max(found.queries, event.values.get("queries", 0.0))
            recorder.record(event)
            spent, last = time.perf_counter() - last, time.perf_counter()
            if kind := _kind(event):
                found.seconds[kind] += spent
                found.counts[kind] += 1
            else:
                found.iterations[event.step] = found.iterations.get(event.step, 0.0) + spent
            if time.monotonic() > end:
                found.break_off(event.step)
                break
    for name, place in (("checkpoint", CHECKPOINTS), ("image", IMAGES), ("model", MODEL), ("metrics", METRICS)):
        path = folder / place
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        count = len(files) if name in ("checkpoint", "image") else 1
        found.disk[name] = sum(file.stat().st_size for file in files) / max(1, count)
    return found


def _kind(event: Event) -> str:
    """What kind of work came before an event; empty for the iteration's own."""
    if isinstance(event, Progress):
        return next((kind for words, kind in TELLS.items() if event.text.startswith(words)), "")
    return "checkpoint" if isinstance(event, Checkpoint) else "image" if isinstance(event, Images) else ""


def _leave_few(zoo: Zoo, way: int) -> None:
    """Leave as few teachers in an opened zoo as a training of so many classes can do with."""
    everyone, shape = list(zoo.cards), zoo.picture_shape
    fitting = sorted(everyone, key=lambda card: (card.way != way, -card.input_size[1], -card.input_size[0]))
    for count in range(min(TEACHERS, len(fitting)), len(fitting) + 1):
        zoo.cards = fitting[:count]
        known = {key for keys in zoo.class_keys().values() for key in keys}
        if len(known) >= way and zoo.picture_shape == shape:
            return
    zoo.cards = everyone


def _missing(method: Method, config: Config, zoo: Zoo, device: torch.device) -> tuple[int, bool]:
    """How many recoveries that are kept for later runs are not there yet, and whether they are to be revised."""
    if getattr(config, "recovered", "") != "kept":
        return 0, False
    with closing(cast(Generator[Event, None, None], method.prepare(zoo, device=device))) as events:
        first = next((event for event in events if isinstance(event, Progress)), Progress(0, 0))
    return first.total - first.step, bool(getattr(config, "consensus", 0) and first.total)


def _recoveries(method: Method, config: Config, teachers: int, missing: int) -> dict[str, tuple[int, int]]:
    """How often the whole run recovers, at least and at most, by the option that says in how many steps."""
    low, high = method.inversions(teachers)
    found = {"query_inversion_steps": (low, high)}
    if getattr(config, "recovered", "") == "kept":
        # Revised ones are made all at once.
        low, high = (missing,) * 2 if getattr(config, "consensus", 0) else (min(low, missing), min(high, missing))
    return {"inversion_steps": (low, high), **(found if hasattr(config, "query_inversion_steps") else {})}


def _asks_black_boxes(config: Config, zoo: Zoo) -> bool:
    from dfml.zoo.oracles.asking import AskingConfig
    from dfml.zoo.zoo import answers_only_queries

    asking = AskingConfig.parse({"oracle": getattr(config, "oracle", "auto")})
    return asking.oracle == "zeroth-order" or any(answers_only_queries(zoo, card.id, asking) for card in zoo.cards)


def _episode_seconds(zoo: Zoo, spec: RunSpec, config: Config, device: torch.device, episodes: int) -> float:
    """Seconds of an episode of the test at the end, from a few; 0 where there is none."""
    import torch

    from dfml.data.episodes import EpisodeSampler
    from dfml.meta.evaluation import evaluate
    from dfml.training.new_model import start_model
    from dfml.training.options import AdaptConfig

    sampler, _ = job.test_episodes(zoo, spec, config)
    if sampler is None or not isinstance(config, AdaptConfig):
        return 0.0
    sizes = {"way": sampler.way, "shot": sampler.shot, "query": sampler.query, "seed": 0}
    few = EpisodeSampler(sampler.data, **sizes, episodes=episodes)
    model = start_model(zoo, config, torch.Generator().manual_seed(0), {}).to(device)
    began = time.perf_counter()
    adapt = (model.learner.default_adaptation,)
    evaluate(model, few, bn=("transductive",), adapt=adapt, device=device, yardstick=False)
    return (time.perf_counter() - began) / episodes


def _sweep(zoo: Zoo) -> int:
    """How much a sweep of the consensus looks at: for each teacher the recoveries of its classes, by anybody."""
    slots = [key for keys in zoo.class_keys().values() for key in keys]
    return sum(slots.count(key) for key in slots)


def _most_held(config: Config, cards: list[Any], one: float) -> float:
    """MiB of recoveries that a memory can hold at most, ``one`` being those of one recovery."""
    capacity = getattr(config, "capacity", getattr(config, "memory_visits", 0))
    return capacity * len(cards) * one


def _weights_mib(zoo: Zoo, teacher: str) -> float:
    path = Path(zoo.source) / teacher / "model.safetensors"
    return path.stat().st_size / MIB if path.is_file() else 0.0


def _how(config: Options, slices: dict[str, Slice], seconds: float, teachers: int, of: int, asked: float) -> str:
    base, what = slices["base"], "a short training"
    if hasattr(config, "iterations"):
        what = f"{base.done or 'less than one'} of {config.iterations} iterations"
    more = "" if base.whole and len(slices) == len(cuts_of(config)) else "; there was no time to see more"
    spent = f" It asked {asked:,.0f} queries." if asked else ""
    here = f"Measured in {seconds:.0f} s, on this machine as it is now"
    return f"{here}: {what}, with {teachers} of {of} teachers{more}.{spent}"


@contextmanager
def _thrown_away(place: Path | None) -> Iterator[Path]:
    """A folder that is removed, with a cache of its own, so that nothing is taken from real runs or kept for them."""
    before = os.environ.get("DFML_CACHE")
    if place is None:
        place = Path(tempfile.mkdtemp(prefix="dfml-dry-run-"))
    else:
        place.mkdir(mode=0o700)
    try:
        os.environ["DFML_CACHE"] = str(place / "cache")
        yield place
    finally:
        os.environ.pop("DFML_CACHE", None)
        if before is not None:
            os.environ["DFML_CACHE"] = before
        shutil.rmtree(place, ignore_errors=True)


def _answer(order: str, tell: Callable[[str], None], *, place: Path | None = None) -> dict[str, Any]:
    """Answer an order of ``cost.cost_of``."""
    spec, since = RunSpec.model_validate_json(order), psutil.Process().create_time()
    try:
        return measure(spec, since=since, place=place).model_dump(mode="json")
    except DfmlError as error:
        return {"error": str(error), "bad_input": isinstance(error, BadInput)}
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        text = "even a few iterations need more memory than there is: lower tasks, shot, query, way or width, or free"
        return {"error": f"{text} some memory.", "bad_input": True}


def _leave(number: int, _frame: object) -> None:
    """End as Python does, so that the folder is removed; what comes after the first signal does not interrupt that."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main(place: str) -> None:
    """Be the process; ``place`` names its folder."""
    signal.signal(signal.SIGTERM, _leave)  # the asker is gone, or wants no more
    serve(partial(_answer, place=Path(place)))


if __name__ == "__main__":
    main(sys.argv[1])
