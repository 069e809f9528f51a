"""When a run stops, and when it is kept.

A STOP file, SIGTERM or Ctrl-C asks politely: the work ends at its next event, or where it comes by safe points at the
next one, where it is kept. A second signal, or some seconds without an event, breaks into whatever Python is running.
A worker that even so has not ended after twenty seconds kills itself and its children; every checkpoint is written
whole or not at all.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from dfml.core.errors import StopRequested
from dfml.core.system import KILL, SYSTEM
from dfml.runs.status import STOP

PATIENCE_SECONDS = 5.0
"""Without an event, before a stop breaks into the work."""
WAIT_SECONDS = 12.0
"""At most, for the next safe point of work that has them."""
LAST_RESORT_SECONDS = 20.0
MOST_LOST_SECONDS = 25.0
"""What a kill may cost: a run is kept before a step as long as the longest of the last ones would make it more."""
LARGEST_SHARE = 0.1
"""Of the time may go into keeping: where writing takes long, it is done less often."""
WINDOW = 200
"""The last steps."""
_LOOK_SECONDS = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSwitch:
    """Watches for the wish to stop, such as a STOP file in the run's folder; a context manager around the work.

    A ``worker`` is a process that exists for the run alone, so that it may be killed in the end. The driver sets
    ``safe_point_ahead`` where the work comes by safe points, so that a stop waits for the next one.
    """

    def __init__(self, folder: Path, *, worker: bool = False) -> None:
        self.requested = self.safe_point_ahead = self._settled = False
        self._asked: float | None = None
        self._file = folder / STOP
        self._worker = worker
        self._signals = 0
        self._last_event = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop-switch", daemon=True)
        self._in_main = threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSwitch:
        if self._in_main:
            self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wanted(self) -> bool:
        """Whether somebody asked; call it or ``check`` at every event."""
        self._last_event = time.monotonic()
        if self._file.exists():
            self.requested = True
        if self.requested and self._asked is None:
            self._asked = self._last_event
        return self.requested

    def check(self, *, kept: bool = True) -> None:
        """Call at every event: raise ``StopRequested`` where somebody asked.

        Where something would be lost now (not ``kept``), the next safe point is waited for.
        """
        if not self.wanted():
            return
        waited = time.monotonic() - (self._asked or self._last_event)  # a signal may have come just now
        if kept or not self.safe_point_ahead or waited > WAIT_SECONDS:
            raise StopRequested("stopped on request.")

    def settle(self) -> None:
        """From here on nothing breaks in any more: the last words are being written."""
        self._settled = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self.requested = True
        if self._signals > 1 and not self._settled:
            self._settled = True  # once is enough: what follows is clearing up
            raise StopRequested("stopped on request.")

    def _watch(self) -> None:
        asked_at = first_asked = 0.0
        while not self._ended.wait(_LOOK_SECONDS):
            if self._file.exists():
                self.requested = True
            if not self.requested:
                continue
            now = time.monotonic()
            if not first_asked:
                asked_at = first_asked = now
                with suppress(OSError):
                    self._file.touch()  # whatever comes of it, readers know that the end was wanted
            if self._worker and now - first_asked > LAST_RESORT_SECONDS and SYSTEM.owns_its_group(os.getpid()):
                SYSTEM.send(KILL, os.getpid())
            patience = WAIT_SECONDS if self.safe_point_ahead else PATIENCE_SECONDS
            if now - max(asked_at, self._last_event) > patience and self._in_main and not self._settled:
                self._signals += 1
                SYSTEM.break_in()
                asked_at = now


class Keeping:
    """Knows how long ago the run was kept, and how long its steps take; the clock never goes back."""

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
        self._kept = self._clock()
        self._cost = self._kept - began
        self._point = self._kept if self._point is not None else None
