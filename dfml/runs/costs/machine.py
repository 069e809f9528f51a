"""How long the demos take on this machine: one short piece of work, timed here and on the machine they were timed on.

``python -m dfml.runs.costs.machine`` times it and prints one JSON object; the app asks such a process, so that its
server never loads torch. What it found is kept for this machine: for good where nothing else computed meanwhile, else
until it is measured again.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psutil
from pydantic import Field

from dfml.core.config import Record, Text
from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, STUDIO, cache_root, read_json, write_json

TIMES = STUDIO / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
"""How long each demo took, on two idle CPU cores; recoveries that are kept stand there in seconds of one thread."""
CORES = 2
REFERENCE = ASSETS / "recorded" / "machine.json"
"""How long the piece of work took on that machine, when it was idle."""
SECONDS, BATCH = 3.0, 75
"""How long it is repeated, and the images of one pass."""
SLACK = 1.25
"""A demo does more than such passes: its time is told within this factor, beyond how the passes themselves differ."""
GLANCE, ENOUGH = 1.0, 0.8
"""Seconds of a look at what others compute before anything is timed; the share of a core that each thread needs."""


class Speed(Record):
    """Seconds of one pass, forward and backward, of a Conv4 of 32 filters: a fast one and a slow one.

    ``busy`` where other programs computed meanwhile, so that the machine can do better.
    """

    fast: float = Field(gt=0, le=3600)
    slow: float = Field(gt=0, le=3600)
    device: Text
    threads: int = Field(ge=0, le=100_000)
    machine: Text
    busy: bool


class Others:
    """What other programs compute on the cores that this one may use, from its making on.

    Counted is what was neither idle nor spent by this process: also what a host takes from a virtual machine.
    """

    def __init__(self) -> None:
        self._began = self._now()

    def cores(self) -> float:
        """Return how many cores others have used, as a mean; 0 where the system counts nothing."""
        every, idle, own = (now - then for now, then in zip(self._now(), self._began, strict=True))
        seconds = every / max(1, len(_cores()))
        return max(0.0, every - idle - own) / seconds if seconds > 0 else 0.0

    def leave_too_little(self, threads: int) -> bool:
        """Return whether they left fewer cores than so many threads need."""
        return len(_cores()) - self.cores() < ENOUGH * min(threads, len(_cores()))

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds of the cores together, of them idle, and of this process."""
        counted = psutil.cpu_times(percpu=True)
        found = [counted[place] for place in _cores() if place < len(counted)]
        guests = ("guest", "guest_nice")  # which are in the others already
        every = sum(sum(value for name, value in one._asdict().items() if name not in guests) for one in found)
        idle = sum(one.idle + getattr(one, "iowait", 0.0) for one in found)
        own = psutil.Process().cpu_times()
        return every, idle, own.user + own.system


def _cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def this_machine() -> str:
    """What a measurement belongs to: host, processor, cores that may be used, and the version of torch."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "none"
    return f"{platform.node()} {platform.machine()} {len(_cores())} {torch}"


def measure_speed(seconds: float = SECONDS) -> Speed:
    """Time passes for so long, on the device that ``auto`` takes."""
    import torch

    from dfml.nets.build import build_network
    from dfml.nets.device import pick_device, seconds_now

    device, _ = pick_device("auto")
    net = build_network("fewshot_conv4", num_classes=5, width=32, seed=0).to(device)
    images = torch.rand(BATCH, 3, 32, 32, device=device)
    found: list[float] = []
    others = Others()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(found) < 6:
        began = seconds_now(device)
        net(images).square().mean().backward()
        found.append(seconds_now(device) - began)
    found = sorted(found[2:])  # the first ones warm up
    fast, slow = found[len(found) // 10], found[-1 - len(found) // 10]
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    busy = threads > 0 and others.leave_too_little(threads)
    return Speed(fast=fast, slow=slow, device=str(device), threads=threads, machine=this_machine(), busy=busy)


def kept_speed() -> Speed | None:
    """Return what was found on this machine before; None where nothing was."""
    found = _read(_kept())
    return found if found and found.machine == this_machine() else None


def keep_speed(speed: Speed) -> None:
    """Keep it for this machine; one that is ``busy`` never replaces one that is not, nor a faster one."""
    kept = kept_speed()
    if not speed.busy or kept is None or (kept.busy and speed.fast < kept.fast):
        write_json(_kept(), speed.model_dump())


def seconds_here(seconds: float, speed: Speed, reference: Speed) -> tuple[float, float]:
    """Return least and most seconds that a piece of work takes here, which took ``seconds`` where it was timed."""
    return seconds * speed.fast / reference.slow / SLACK, seconds * speed.slow / reference.fast * SLACK


def reference_speed() -> Speed | None:
    """Return that of the machine on which the demos were timed."""
    return _read(REFERENCE)


class DemoTime(NamedTuple):
    """Seconds that a demo took on two idle CPU cores: its training, and what it recovers once for all later runs."""

    training: float
    recoveries: float


@cache
def demo_times() -> Mapping[str, DemoTime]:
    """Return how long each method's demo took where all were timed; empty where the table cannot be read."""
    try:
        rows = read_json(TIMES, "times of the demos")["rows"]
        found = {row["method"]: (float(row["seconds"]), row.get("preparation_seconds") or 0.0) for row in rows}
        return {name: DemoTime(seconds, prepared / CORES) for name, (seconds, prepared) in found.items()}
    except (BadInput, KeyError, TypeError, ValueError):
        return {}


def _kept() -> Path:
    return cache_root() / "machine.json"


def _read(path: Path) -> Speed | None:
    try:
        return Speed.model_validate(read_json(path, "speed", most=2**16))
    except (BadInput, ValueError):
        return None


def main() -> None:
    """Measure, keep, and print what was found; what is kept stays where a glance tells that others still compute."""
    kept = kept_speed()
    if kept is not None:
        others = Others()
        time.sleep(GLANCE)
        if others.leave_too_little(kept.threads):
            print(json.dumps(kept.model_dump()))
            return
    speed = measure_speed()
    keep_speed(speed)
    print(json.dumps(speed.model_dump()))


if __name__ == "__main__":
    main()
