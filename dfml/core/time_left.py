"""How long work will still take, as a range: what speeds of the last minute say, not the mean since the beginning."""

from collections import deque
from collections.abc import Sequence
from math import ceil, floor

WINDOWS = (15.0, 30.0, 60.0)
"""Seconds. Where the speed changed, the shortest knows first; where it varies, the longest is right in the mean."""
FEWEST = 3
"""Steps without which nothing is said, and which every window holds."""
SHORTEST = 1.0
"""Seconds of steps without which nothing is said."""
DOUBT = 0.1
"""A window begins anywhere between two slower steps, such as those with a validation."""
GRAIN = 0.1
"""Seconds between two steps that are kept."""

Range = tuple[float, float]


class TimeLeft:
    """Watches the steps of one piece of work.

    The time before the first step ends does not count: warming up, reading and preparing come there.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque()
        self._step = self._total = -1
        self._newest = 0.0

    def see(self, step: int, total: int, now: float) -> None:
        """Look at the work: ``step`` of ``total`` (0 where unknown), at ``now`` seconds of a steady clock.

        Fewer steps than before, or another ``total``, begin another piece of work.
        """
        if total != self._total or step < self._step:
            self._ends.clear()
            self._step, self._total = step, total
        elif step > self._step:
            self._step, self._newest = step, now
            if self._ends and now - self._ends[-1][0] < GRAIN:
                return
            self._ends.append((now, step))
            while len(self._ends) > FEWEST + 1 and self._ends[1][0] < now - WINDOWS[-1]:
                self._ends.popleft()

    def range(self, now: float) -> Range | None:
        """Least and most seconds left, neither below 0; None while nothing can be said."""
        if self._total <= 0 or len(self._ends) <= FEWEST or self._ends[-1][0] - self._ends[0][0] < SHORTEST:
            return None
        waited, remaining = max(0.0, now - self._newest), max(0, self._total - self._step)
        paces = [self._pace(window, self._ends[-1][0]) for window in WINDOWS]
        if waited > max(paces):  # it stands still for longer than a step takes
            paces.append(self._pace(WINDOWS[0], now))
        left = [max(0.0, pace * remaining - min(waited, pace)) for pace in paces]
        return min(left) * (1 - DOUBT), max(left) * (1 + DOUBT)

    def _pace(self, window: float, until: float) -> float:
        """Seconds a step, over the steps that ended in the last ``window`` seconds, ``FEWEST`` at least."""
        ends = list(self._ends)
        within = next(position for position, (end, _) in enumerate(ends) if end >= ends[-1][0] - window)
        since, first = ends[min(within, len(ends) - 1 - FEWEST)]
        return (until - since) / (ends[-1][1] - first)


def in_words(left: Sequence[float | None]) -> str:
    """A range as ``40 to 60 s``, ``2 to 4 min``, ``about 3 min``, ``up to 2 min``, ``1.5 to 2 h``, ``at least 3 h``."""
    least, most = left[0] or 0.0, left[1]
    longest = least if most is None else most
    unit, size = ("s", 5) if longest < 100 else ("min", 60) if longest < 5400 else ("h", 1800)
    factor = {"s": 5, "min": 1, "h": 0.5}[unit]
    # Rounded outwards, but not for a quarter of a unit: what is known well is not told as if it were not.
    low, high = floor(least / size + 0.25), max(1, ceil(longest / size - 0.25))
    if most is None:
        return f"at least {low * factor or round(least, 2):g} s" if unit == "s" else f"at least {low * factor:g} {unit}"
    if low == high:
        return f"about {high * factor:g} {unit}"
    return f"{low * factor:g} to {high * factor:g} {unit}" if low else f"up to {high * factor:g} {unit}"
