"""When a run is kept between the checkpoints that its own steps ask for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST_LOST_SECONDS = 25.0
"""What a kill may cost: a run is kept before a step as long as the longest of the last ones would make it more."""
LARGEST_SHARE = 0.1
"""Of the time may go into keeping: where writing takes long, it is done less often."""
WINDOW = 200
"""The last steps."""


class Keeping:
    """Knows how long ago the run was kept, and how long its steps take.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept = clock()
        self._cost = 0.0
        self._point: float | None = None  # what comes before the first one is no step
        self._steps: deque[float] = deque(maxlen=WINDOW)

    def due(self) -> bool:
        """Whether it is time to keep the run."""
        since = self._clock() - self._kept
        # However long one step took (a computer that slept, say), not every short one is kept after it.
        longest = min(max(self._steps, default=0.0), 0.8 * MOST_LOST_SECONDS)
        return since + longest >= MOST_LOST_SECONDS and since >= self._cost / LARGEST_SHARE

    def meet(self) -> None:
        """The work is where it could be kept."""
        now = self._clock()
        if self._point is not None:
            self._steps.append(now - self._point)
        self._point = now

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Around the writing of a checkpoint, which is no part of a step."""
        began = self._clock()
        yield
        now = self._clock()
        self._cost, self._kept = now - began, now
        self._point = now if self._point is not None else None
