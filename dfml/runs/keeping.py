"""When a run is kept between the checkpoints that its own steps ask for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST_LOST_SECONDS = 25.0
"""What a kill may cost: a run is kept before a step as long as the longest so far would make it more."""
LARGEST_SHARE = 0.1
"""Of the time may go into keeping: where writing takes long, it is done less often."""
WAIT_SECONDS = 12.0
"""At most, for the next safe point, of a run that shall stop."""


class Keeping:
    """Knows how long ago the run was kept, and whether a moment to keep it is near."""

    def __init__(self) -> None:
        self._kept = self._point = time.monotonic()
        self._met = False
        self._cost = self._gap = self._longest = 0.0

    def due(self) -> bool:
        """Whether it is time to keep the run."""
        since = time.monotonic() - self._kept
        return since + self._longest >= MOST_LOST_SECONDS and since >= self._cost / LARGEST_SHARE

    def near(self) -> bool:
        """Whether the work comes by safe points regularly, so that it is worth waiting for the next one."""
        return self._met and time.monotonic() - self._point <= min(WAIT_SECONDS, 1.0 + 2.0 * self._gap)

    def meet(self) -> None:
        """The work is at a safe point."""
        now = time.monotonic()
        self._gap = now - self._point
        self._longest = max(self._longest, self._gap)
        self._point, self._met = now, True

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        began = time.monotonic()
        yield
        self._kept = time.monotonic()
        self._cost = self._kept - began
        self._point = self._kept  # writing is no part of a step
