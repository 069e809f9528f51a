"""Two loops of the same operations: whether they are, and what each takes, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from dfml.bench.job import Row
from dfml.core.errors import RunFailed
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

Result = dict[str, "torch.Tensor"]
Run = Callable[[], Result]
Sizes = dict[str, int]


@dataclass(frozen=True)
class Loop:
    """A loop of the program, and the plain one beside it.

    Attributes:
        told: What it does, with its sizes as ``{steps}``.
        sizes: Of the measurement; ``quick`` replaces some of them, for tests and to compare results.
        prepare: Makes from a zoo and sizes the two runs, ours and the plain one, each good for one call; what it does
            is not timed.
        tolerance: Largest difference of a result at cut sizes, as a share of its largest number: two orders of the same
            sums round differently, and later steps make more of it.
    """

    name: str
    told: str
    sizes: Sizes
    quick: Sizes
    prepare: Callable[[Zoo, Sizes], tuple[Run, Run]]
    tolerance: float = 1e-4

    @property
    def cut(self) -> Sizes:
        """The sizes, those of ``quick`` in their place."""
        return {**self.sizes, **self.quick}


@dataclass(frozen=True)
class Spent:
    """What a call took: seconds of all threads of this process, and of the clock."""

    cpu_seconds: float
    seconds: float


def timed(run: Callable[[], object]) -> Spent:
    """Call it once."""
    cpu, clock = time.process_time(), time.perf_counter()
    run()
    return Spent(time.process_time() - cpu, time.perf_counter() - clock)


def check_equal(loop: Loop, zoo: Zoo, sizes: Sizes) -> Row:
    """Run both once at these sizes, which also warms up; return ``flops`` of each, and the largest ``difference``.

    That is of the results at cut sizes: over hundreds of steps the last bit of a sum grows to other images.

    Raises:
        RunFailed: They do not do the same.
    """
    (ours, plain), flops = _counted(loop, zoo, loop.cut)
    apart = {name: _apart(ours.get(name), value) for name, value in plain.items()}
    for name, value in apart.items():
        if not value <= loop.tolerance:
            raise RunFailed(
                f"{loop.name}: the two loops do not do the same: {name} differ by {value:.2g} of the largest, "
                f"{loop.tolerance:g} is allowed."
            )
    if sizes != loop.cut and flops[0] == flops[1]:
        _, flops = _counted(loop, zoo, sizes)
    if flops[0] != flops[1]:
        raise RunFailed(
            f"{loop.name}: the two loops do not do the same: ours takes {flops[0]:,} FLOPs, the plain one {flops[1]:,}."
        )
    return {"flops": flops[0], "difference": max(apart.values())}


def _counted(loop: Loop, zoo: Zoo, sizes: Sizes) -> tuple[list[Result], list[int]]:
    """The results of ours and of the plain one, and the FLOPs that they took."""
    from torch.utils.flop_counter import FlopCounterMode

    found, flops = [], []
    for run in loop.prepare(zoo, sizes):
        with FlopCounterMode(display=False) as counter:
            found.append(run())
        flops.append(counter.get_total_flops())
    return found, flops


def _apart(ours: torch.Tensor | None, plain: torch.Tensor) -> float:
    if ours is None or ours.shape != plain.shape:
        return float("inf")
    return float((ours.double() - plain.double()).abs().max() / plain.double().abs().max().clamp_min(1e-12))


def summary(ours: list[Spent], others: list[Spent]) -> Row:
    """Medians of the seconds, and of the rounds' ratios, ours against the others', with the least and the largest."""
    row: Row = {}
    for name in ("cpu_seconds", "seconds"):
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(ours, others, strict=True)]
        row[name], row[f"plain_{name}"] = (median(column) for column in zip(*pairs, strict=True))
        ratios = [a / max(b, 1e-9) for a, b in pairs]
        row[f"{name}_ratio"], row[f"{name}_ratio_range"] = median(ratios), [min(ratios), max(ratios)]
    return row
