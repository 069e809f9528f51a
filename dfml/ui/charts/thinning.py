"""Curves made light enough to be drawn each second: fewer points with the same look, and running means."""

from collections.abc import Sequence

import numpy as np

MAX_POINTS = 500
DENSE = 120
"""Curves with more points are drawn faintly, under their running mean."""
Curve = tuple[Sequence[float], Sequence[float]]
"""Steps and values of one curve, of equal length."""


def chosen_points(values: Sequence[float], most: int = MAX_POINTS) -> list[int]:
    """Return the places of at most ``most`` points, which hold the ends and the extremes in between."""
    count = len(values)
    if count <= most:
        return list(range(count))
    array = np.asarray(values, dtype=float)
    edges = np.unique(np.linspace(0, count, most // 2).astype(int))
    chosen = {0, count - 1}
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        piece = array[start:end]
        if np.isfinite(piece).any():
            chosen |= {int(start + np.nanargmin(piece)), int(start + np.nanargmax(piece))}
    return sorted(chosen)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Return the mean of the ``window`` points around each point, of fewer at the ends."""
    array = np.asarray(values, dtype=float)
    sums = np.concatenate([[0.0], np.cumsum(array)])
    places = np.arange(len(array))
    low = np.maximum(0, places - (window - 1) // 2)
    high = np.minimum(len(array), places + window // 2 + 1)
    return ((sums[high] - sums[low]) / (high - low)).tolist()
