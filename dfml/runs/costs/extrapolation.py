"""From short trainings to the whole: what an iteration, a step of a recovery, an episode take, times how many."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import ceil, inf, isinf

from dfml.core.config import Options
from dfml.runs.recorder import KEPT_CHECKPOINTS, MAX_FILES_A_TAG

TEACHERS, EARLY, LATE, MORE = 4, 2, 4, 2
"""Teachers of a slice, iterations in its first phase and after it, and how many more a longer slice has."""
OFTEN = {"checkpoint": 20, "image": 40}
"""How often a training writes one, however long it is."""
FRAME = 2**14
"""Bytes of what every run's folder has: what was asked, status, result, log."""
ABOUT = (0.9, 1.1)
"""What fewer teachers leave open about the number of queries."""
STEPS = ("inversion_steps", "query_inversion_steps")
MIB = 2**20

Range = tuple[float, float | None]
"""At least and at most; None where nothing bounds it."""


@dataclass
class Slice:
    """What a short training took, or its beginning, where there was no time for more.

    Attributes:
        seconds: By kind of work: recovery, revision, validation, checkpoint, image.
        counts: What was reported of each kind: steps of recoveries, episodes, files.
        iterations: What is left, by iteration; 0 is what comes before the first.
        cut: Seconds of the iteration that was going on when there was no more time.
        whole: Whether it came to its end.
        queries: Images that teachers were asked about.
        disk: Bytes of a checkpoint, of a grid of images, of the model and of the metrics.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: Counter[str] = field(default_factory=Counter)
    iterations: dict[int, float] = field(default_factory=dict)
    cut: float = 0.0
    whole: bool = True
    queries: float = 0.0
    disk: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Iterations that it had."""
        return len([step for step in self.iterations if step])

    def break_off(self, step: int) -> None:
        """End here, in iteration ``step``, which did not come to its end."""
        self.whole, self.cut = False, self.iterations.pop(step, 0.0) if step else 0.0


@dataclass(frozen=True)
class Whole:
    """What the whole training has: its config, and how its zoo differs from that of the slices.

    Attributes:
        recoveries: Least and most recoveries by the option that tells in how many steps each is done.
        revised: Whether recoveries are to be revised by all teachers.
        teachers: Teachers of the zoo for one of a slice.
        sweep: Images that a revision looks at, for one in a slice.
        episode: Seconds of an episode of the test, for validations that were not seen.
    """

    config: Options
    recoveries: dict[str, tuple[int, int]]
    revised: bool
    teachers: float
    sweep: float
    episode: float = 0.0


def phase_of(config: Options) -> str:
    """The option that says how many first iterations do less than the others; empty without one."""
    names = [name for name in ("warm_start", "warm_up") if hasattr(config, name)]
    return names[0] if names and getattr(config, names[0]) else ""


def cuts_of(config: Options) -> dict[str, dict[str, int]]:
    """The changes of each slice: a ``base``, and one more for each option that decides how much is done."""
    names = set(type(config).model_fields)
    small = dict.fromkeys(names & {*STEPS, "embed_visits", "visits", "epochs"}, 1)
    small |= dict.fromkeys(names & {"consensus", "boundary_after"}, 0)
    more: dict[str, dict[str, int]] = {name: {name: 2} for name in (*STEPS, "epochs") if name in names}
    if "iterations" in names:
        phase = phase_of(config)
        most = min(config.iterations, LATE + EARLY * bool(phase))
        small |= {"iterations": most, "validate_every": most, "validation_episodes": min(4, config.validation_episodes)}
        small |= {phase: min(getattr(config, phase), EARLY, most - 1)} if phase else {}
        more["longer"] = {"iterations": most + MORE, "validate_every": most + MORE}
    if getattr(config, "consensus", 0):
        more["consensus"] = {"consensus": 1}
    return {"base": small, **{name: {**small, **change} for name, change in more.items()}}


def seconds_of(whole: Whole, slices: dict[str, Slice]) -> Range:
    """Seconds of the whole training, without its test. Of the ``slices`` only the base need not be whole."""
    config, base = whole.config, slices["base"]
    if "iterations" not in type(config).model_fields:
        own = sum(base.seconds.values()) + sum(base.iterations.values()) + base.cut
        epochs = getattr(config, "epochs", 1)
        if not base.whole:
            return own, None
        if epochs > 1 and "epochs" not in slices:
            return own, own * epochs * whole.teachers
        longer = slices.get("epochs", base)
        epoch = max(0.0, sum(longer.seconds.values()) + sum(longer.iterations.values()) - own)
        total = own + epoch * (epochs - 1)
        return total, total * whole.teachers
    total, phase = config.iterations, phase_of(config)
    cut = min(getattr(config, phase), EARLY) if phase else 0
    warm = min(total, getattr(config, phase)) if phase else 0
    first = base.iterations.get(1, base.cut)
    begin = base.iterations.get(0, 0.0) + first
    seen = [item for each in slices.values() for item in each.iterations.items()]
    if base.done:
        # Unseen ones of a training that was broken off are between half a first one, which is slow, and all before it.
        unseen = (begin if base.whole else first / 2, begin)
        early = _between([s for step, s in seen if 1 < step <= cut], unseen)
        # What comes after the first phase does more.
        unseen = (early[0], inf) if cut and not base.whole else unseen
        late = _between([s for step, s in seen if step > cut + 1], unseen)
    else:
        early = late = (base.cut / 2, inf)
    # The first iteration is in what it takes to begin.
    warm, cold = max(0, warm - 1), total - max(1, warm)
    low = begin + warm * early[0] + cold * late[0]
    high = begin * whole.teachers + _times(warm, early[1]) + _times(cold, late[1])
    often = {"validation": ceil(total / config.validate_every) * config.validation_episodes, **OFTEN}
    for kind, count in often.items():
        each = base.seconds[kind] / max(1, base.counts[kind])
        if kind == "validation" and not (base.whole or base.counts[kind]):
            each = whole.episode
        low, high = low + count * each, high + count * each
    for name, (fewest, most) in whole.recoveries.items():
        if hasattr(config, name):
            least, worst = _per_step(base, slices.get(name))
            low += fewest * least * getattr(config, name)
            high += _times(most, worst * getattr(config, name))
    if whole.revised and "consensus" not in slices:
        high = inf
    elif whole.revised:
        sweeps = config.consensus * slices["consensus"].seconds["revision"] * whole.sweep
        low, high = low + sweeps, high + sweeps
    return low, None if isinf(high) else high


def queries_of(whole: Whole, slices: dict[str, Slice]) -> Range:
    """Images that teachers are asked about, where none revises recoveries: straight lines through the slices."""
    base, config = slices["base"], whole.config
    if not base.whole or len(slices) < len(cuts_of(config)):
        # What is kept already, by which the whole may do with less, is not told apart.
        return (base.queries if all(fewest for fewest, _ in whole.recoveries.values()) else 0.0), None
    if not hasattr(config, "iterations"):
        return base.queries, base.queries * whole.teachers
    steps = {name: slices[name].counts["recovery"] - base.counts["recovery"] for name in STEPS if name in slices}
    steps = {name: count for name, count in steps.items() if count > 0}
    slopes = {name: (slices[name].queries - base.queries) / count for name, count in steps.items()}
    each = 0.0
    if "longer" in slices:  # without the steps of recoveries that belong to its iterations
        within = (slices["longer"].counts["recovery"] - base.counts["recovery"]) * slopes.get(STEPS[0], 0.0)
        each = (slices["longer"].queries - base.queries - within) / MORE
    # What comes once with each recovery, such as the teacher's answers about the finished images.
    rest = base.queries - base.done * each - sum(slopes[name] * count for name, count in steps.items())
    low = high = config.iterations * each + (0.0 if steps else rest)
    for name, slope in slopes.items():
        one, end = slope * getattr(config, name), rest / sum(steps.values())
        fewest, most = whole.recoveries[name]
        # In some methods every teacher answers about the images of each.
        low, high = low + fewest * (one + end), high + most * (one + end * whole.teachers)
    low, high = min(low, high), max(low, high)
    about = (1.0, 1.0) if whole.teachers == 1 else ABOUT
    return float(round(about[0] * low)), float(round(about[1] * high))


def disk_of(whole: Whole, slices: dict[str, Slice], *, held: float, kept: float) -> Range:
    """MiB of the run's folder at its end, with ``held`` MiB of images in each checkpoint and ``kept`` in the cache."""
    base, total = slices["base"], getattr(whole.config, "iterations", 1)
    lines = min(total, 1000) / max(1, base.done)
    size = FRAME + base.disk["model"] + base.disk["image"] * min(MAX_FILES_A_TAG, total) + base.disk["metrics"] * lines
    size = (size + KEPT_CHECKPOINTS * base.disk["checkpoint"]) / MIB
    return size, (size + KEPT_CHECKPOINTS * held + kept) if base.whole else None


def _times(count: int, each: float) -> float:
    return count * each if count else 0.0  # none of what nobody knows is nothing


def _between(values: list[float], unseen: tuple[float, float]) -> tuple[float, float]:
    """The mean of the faster half, and that of the slower half; without values ``unseen``."""
    if not values:
        return unseen
    ranked, half = sorted(values), (len(values) + 1) // 2
    return sum(ranked[:half]) / half, sum(ranked[-half:]) / half


def _per_step(base: Slice, longer: Slice | None) -> tuple[float, float]:
    """Least and most seconds of one step of a recovery; in ``longer``, if there was time for it, each has one more."""
    if longer is None:
        # The mean has what comes once with each recovery, which may be most of it.
        mean = base.seconds["recovery"] / max(1, base.counts["recovery"])
        return (mean / 10, mean) if base.counts["recovery"] else (0.0, inf)
    steps = longer.counts["recovery"] - base.counts["recovery"]
    mean = longer.seconds["recovery"] / max(1, longer.counts["recovery"])
    each = max((longer.seconds["recovery"] - base.seconds["recovery"]) / steps, mean / 2) if steps > 0 else mean
    return each, each
