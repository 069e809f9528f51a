"""From short trainings to the whole: what an iteration, a step of a recovery, an episode take, times how many."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import ceil

from dfml.core.config import Options
from dfml.runs.recorder import KEPT_CHECKPOINTS, MAX_FILES_A_TAG

TEACHERS, EARLY, LATE, MORE = 4, 2, 4, 2
"""Teachers of a slice, iterations in its first phase and after it, and how many more a longer slice has."""
OFTEN = {"checkpoint": 20, "image": 40}
"""How often a training writes one, however long it is."""
FRAME = 2**14
"""Bytes of what every run's folder has: what was asked, status, result, log."""
STEPS = ("inversion_steps", "query_inversion_steps")
MIB = 2**20

Range = tuple[float, float]


@dataclass
class Slice:
    """What a short training took.

    Attributes:
        seconds: By kind of work: recovery, revision, validation, checkpoint, image.
        counts: What was reported of each kind: steps of recoveries, episodes, files.
        iterations: What is left, by iteration; 0 is what comes before the first.
        queries: Images that teachers were asked about.
        disk: Bytes of a checkpoint, of a grid of images, of the model and of the metrics.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: Counter[str] = field(default_factory=Counter)
    iterations: dict[int, float] = field(default_factory=dict)
    queries: float = 0.0
    disk: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Iterations that it had."""
        return len([step for step in self.iterations if step])


@dataclass(frozen=True)
class Whole:
    """What the whole training has: its config, and how its zoo differs from that of the slices.

    Attributes:
        recoveries: Least and most recoveries by the option that tells in how many steps each is done.
        revised: Whether recoveries are to be revised by all teachers.
        teachers: Teachers of the zoo for one of a slice.
        sweep: Images that a revision looks at, for one in a slice.
    """

    config: Options
    recoveries: dict[str, tuple[int, int]]
    revised: bool
    teachers: float
    sweep: float


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
    """Seconds of the whole training, without its test."""
    config, base = whole.config, slices["base"]
    if "iterations" not in type(config).model_fields:
        own = sum(base.seconds.values()) + sum(base.iterations.values())
        longer = slices.get("epochs", base)
        epoch = max(0.0, sum(longer.seconds.values()) + sum(longer.iterations.values()) - own)
        total = own + epoch * (getattr(config, "epochs", 1) - 1)
        return total, total * whole.teachers
    total, phase = config.iterations, phase_of(config)
    cut = min(getattr(config, phase), EARLY) if phase else 0
    warm = min(total, getattr(config, phase)) if phase else 0
    begin = base.iterations.get(0, 0.0) + base.iterations.get(1, 0.0)
    seen = [item for each in slices.values() for item in each.iterations.items()]
    early = _between([s for step, s in seen if 1 < step <= cut] or [begin])
    late = _between([s for step, s in seen if step > cut + 1] or [begin])
    # The first iteration is in what it takes to begin.
    warm, cold = max(0, warm - 1), total - max(1, warm)
    low = begin + warm * early[0] + cold * late[0]
    high = begin * whole.teachers + warm * early[1] + cold * late[1]
    often = {"validation": ceil(total / config.validate_every) * config.validation_episodes, **OFTEN}
    for kind, count in often.items():
        each = base.seconds[kind] / max(1, base.counts[kind])
        low, high = low + count * each, high + count * each
    for name, (fewest, most) in whole.recoveries.items():
        if name in slices:
            each = _per_step(base, slices[name]) * getattr(config, name)
            low, high = low + fewest * each, high + most * each
    if whole.revised and "consensus" in slices:
        sweeps = config.consensus * slices["consensus"].seconds["revision"] * whole.sweep
        low, high = low + sweeps, high + sweeps
    return low, high


def queries_of(whole: Whole, slices: dict[str, Slice]) -> Range:
    """Images that teachers are asked about, where none revises recoveries: straight lines through the slices."""
    base, config = slices["base"], whole.config
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
    return float(round(low)), float(round(high))


def disk_of(whole: Whole, slices: dict[str, Slice], *, held: float, kept: float) -> Range:
    """MiB of the run's folder at its end, with ``held`` MiB of images in each checkpoint and ``kept`` in the cache."""
    base, total = slices["base"], getattr(whole.config, "iterations", 1)
    lines = min(total, 1000) / max(1, base.done)
    size = FRAME + base.disk["model"] + base.disk["image"] * min(MAX_FILES_A_TAG, total) + base.disk["metrics"] * lines
    size = (size + KEPT_CHECKPOINTS * base.disk["checkpoint"]) / MIB
    return size, size + KEPT_CHECKPOINTS * held + kept


def _between(values: list[float]) -> Range:
    """The mean of the faster half, and that of the slower half."""
    ranked, half = sorted(values), (len(values) + 1) // 2
    return sum(ranked[:half]) / half, sum(ranked[-half:]) / half


def _per_step(base: Slice, longer: Slice) -> float:
    """Seconds of one step of a recovery; in ``longer`` each has one more."""
    steps = longer.counts["recovery"] - base.counts["recovery"]
    mean = longer.seconds["recovery"] / max(1, longer.counts["recovery"])
    return max((longer.seconds["recovery"] - base.seconds["recovery"]) / steps, mean / 2) if steps > 0 else mean
