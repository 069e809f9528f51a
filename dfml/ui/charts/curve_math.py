"""Small sums for curves: thinning, a running mean, and the numbers on a short logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

MAX_POINTS = 500
Curve = tuple[Sequence[float], Sequence[float]]
"""Steps and values of one curve, of equal length."""
DENSE = 120
"""Curves with more points are drawn faintly, under their running mean."""


def downsample(steps: Sequence[float], values: Sequence[float], limit: int = MAX_POINTS) -> Curve:
    """Thin a curve to at most ``limit`` (4 or more) points, keeping its ends and the extremes in between."""
    count = len(steps)
    if count <= limit:
        return list(steps), list(values)
    buckets = (limit - 2) // 2
    keep = {0, count - 1}
    for bucket in range(buckets):
        low, high = 1 + bucket * (count - 2) // buckets, 1 + (bucket + 1) * (count - 2) // buckets
        span = range(low, max(high, low + 1))
        keep.add(min(span, key=values.__getitem__))
        keep.add(max(span, key=values.__getitem__))
    chosen = sorted(keep)
    return [steps[i] for i in chosen], [values[i] for i in chosen]


def mean_window(count: int) -> int:
    """Over how many of ``count`` neighbouring points a running mean goes; 1 where the curve is not dense."""
    return count // 40 if count > DENSE else 1


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of the ``window`` points around each point, of fewer at the ends."""
    sums = [0.0, *accumulate(values)]
    left, right = (window - 1) // 2, window // 2
    spans = [(max(0, i - left), min(len(values), i + right + 1)) for i in range(len(values))]
    return [(sums[high] - sums[low]) / (high - low) for low, high in spans]


def log_ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of ten between two positive ones, and one step beyond each."""
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    ticks = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in (1, 2, 5)]
    return [tick for tick in ticks if low / 2.5 <= tick <= high * 2.5]


def calm_range(values: Sequence[float], *, percent: bool = False) -> tuple[float, float] | None:
    """An axis for values that hardly differ: drawn to their own range they would look as if they jumped.

    Returns:
        Both ends, 5 points (of fractions) or a thousandth of the value apart; None where the values differ by as much.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    span = 0.05 if percent else max(abs(low), abs(high)) / 1000
    if high - low >= span or not span:
        return None
    low = (low + high - span) / 2
    if percent:
        low = min(max(low, 0.0), 1.0 - span)
    # A little room, so that a line on the edge is seen whole.
    return low - span / 20, low + span * 1.05
