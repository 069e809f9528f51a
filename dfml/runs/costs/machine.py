"""How long the demos take on this machine: one short piece of work, timed here and on the machine they were timed on.

``python -m dfml.runs.costs.machine`` times it and prints one JSON object; the app asks such a process, so that its
server never loads torch. What it found is kept for this machine.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field

from dfml.core.config import Record, Text
from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, STUDIO, cache_root, read_json, write_json

TIMES = STUDIO / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
"""How long each demo took, on two idle CPU cores."""
REFERENCE = ASSETS / "recorded" / "machine.json"
"""How long the piece of work took on that machine, when it was idle."""
SECONDS, BATCH = 3.0, 75
"""How long it is repeated, and the images of one pass."""
SLACK = 1.25
"""A demo does more than such passes: its time is told within this factor, beyond how the passes themselves differ."""


class Speed(Record):
    """Seconds of one pass, forward and backward, of a Conv4 of 32 filters: a fast one and a slow one."""

    fast: float = Field(gt=0, le=3600)
    slow: float = Field(gt=0, le=3600)
    device: Text
    threads: int = Field(ge=0, le=100_000)
    machine: Text


def this_machine() -> str:
    """What a measurement belongs to: host, processor, cores that may be used, and the version of torch."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "none"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.node()} {platform.machine()} {cores} {torch}"


def measure_speed(seconds: float = SECONDS) -> Speed:
    """Time passes for so long, on the device that ``auto`` takes."""
    import torch

    from dfml.nets.build import build_network
    from dfml.nets.device import pick_device, seconds_now

    device, _ = pick_device("auto")
    net = build_network("fewshot_conv4", num_classes=5, width=32, seed=0).to(device)
    images = torch.rand(BATCH, 3, 32, 32, device=device)
    found: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(found) < 6:
        began = seconds_now(device)
        net(images).square().mean().backward()
        found.append(seconds_now(device) - began)
    found = sorted(found[2:])  # the first ones warm up
    fast, slow = found[len(found) // 10], found[-1 - len(found) // 10]
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    return Speed(fast=fast, slow=slow, device=str(device), threads=threads, machine=this_machine())


def kept_speed() -> Speed | None:
    """Return what was found on this machine before; None where nothing was."""
    found = _read(_kept())
    return found if found and found.machine == this_machine() else None


def keep_speed(speed: Speed) -> None:
    """Keep it for this machine."""
    write_json(_kept(), speed.model_dump())


def minutes_here(seconds: float, speed: Speed, reference: Speed) -> tuple[float, float]:
    """Return least and most minutes that a piece of work takes here, which took so many seconds where timed."""
    quick, slow = seconds * speed.fast / reference.slow / SLACK, seconds * speed.slow / reference.fast * SLACK
    return quick / 60, slow / 60


def reference_speed() -> Speed | None:
    """Return that of the machine on which the demos were timed."""
    return _read(REFERENCE)


@cache
def demo_seconds() -> Mapping[str, float]:
    """Return how long each method's demo took there, without recoveries that are kept for later runs."""
    try:
        rows = read_json(TIMES, "times of the demos")["rows"]
        return {str(row["method"]): float(row["seconds"]) for row in rows}
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
    """Measure, keep, and print what was found."""
    speed = measure_speed()
    keep_speed(speed)
    print(json.dumps(speed.model_dump()))


if __name__ == "__main__":
    main()
