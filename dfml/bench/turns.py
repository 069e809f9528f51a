"""Waiting for the device like every other run of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfml.runs.device_queue import DeviceQueue, device_key
from dfml.runs.driver import QUEUE_LOOK_SECONDS


@contextmanager
def take_turns(device: str, name: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold a device for work that is no run of its own.

    Args:
        device: As torch calls it, already chosen.
        name: What those who wait are told.
        tell: Told what this work waits for, whenever that changes.
    """
    queue = DeviceQueue(name, time.time(), device_key(device))
    said = ""
    try:
        while (waiting := queue.try_take()) is not None:
            if waiting != said:
                said = waiting
                tell(waiting)
            time.sleep(QUEUE_LOOK_SECONDS)
        yield
    finally:
        queue.leave()
