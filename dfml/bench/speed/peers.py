"""Foreign implementations beside ours: each by an adapter, a Python file of the user's in a process of its own.

For each loop and round an adapter is started in its folder and reads one JSON object from its standard input::

    {"loop": "maml", "sizes": {"inner_steps": 5, "tasks": 4, "iterations": 4}, "threads": 2, "dtype": "float32"}

It warms up, does that loop once, and prints one JSON object as its last line: ``{"cpu_seconds": 1.9, "seconds": 1.0}``,
or ``{}`` where it has no such loop. Nothing of it is imported here.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

from dfml.bench.speed.side_by_side import Sizes, Spent
from dfml.core.errors import BadInput, RunFailed
from dfml.core.texts import printable

PATIENCE = 3600
"""Seconds after which an adapter is ended."""


def adapters_in(folder: Path | None) -> list[Path]:
    """The adapters of a folder, by name; ``BadInput`` where it has none."""
    if folder is None:
        return []
    found = sorted(path for path in folder.glob("*.py") if path.is_file())
    if not found:
        raise BadInput(f"{folder} holds no adapter (*.py): give --peers a folder with one, see docs/benchmarks.md.")
    return found


def name_of(adapter: Path) -> str:
    """What the table calls it."""
    return printable(adapter.stem).replace("|", "/")


def ask(adapter: Path, loop: str, sizes: Sizes, threads: int) -> Spent | None:
    """What a loop took there; None where the adapter has no such loop.

    Raises:
        RunFailed: It failed, took more than an hour, or printed no times (or no text in UTF-8).
    """
    order = {"loop": loop, "sizes": sizes, "threads": threads, "dtype": "float32"}
    # This program's processes take no module from the folder that they start in; an adapter lies beside its own.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    try:
        done = subprocess.run(
            [sys.executable, adapter.name], input=json.dumps(order), cwd=adapter.parent, timeout=PATIENCE,
            env={**environment, "OMP_NUM_THREADS": str(threads)}, capture_output=True, encoding="utf-8",
            errors="replace", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{name_of(adapter)} took more than {PATIENCE} seconds for {loop}.") from None
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RunFailed(f"{name_of(adapter)} failed at {loop}: {printable(last)[:300]}")
    try:
        told = json.loads(done.stdout.splitlines()[-1])
        if told == {}:
            return None
        spent = Spent(float(told["cpu_seconds"]), float(told["seconds"]))
    except (IndexError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        spent = Spent(math.nan, math.nan)
    if not (0 < spent.cpu_seconds < math.inf and 0 < spent.seconds < math.inf):
        raise RunFailed(
            f"{name_of(adapter)} printed no times for {loop}: its last line must be an object with cpu_seconds and "
            "seconds above 0, or {}."
        )
    return spent
