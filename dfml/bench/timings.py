"""``bench waiting``: what it costs that threads wait for each other, on an idle machine and beside busy programs.

A measurement is a process of its own, since OpenMP libraries read how to wait when they are loaded. In each round every
way of waiting is measured idle and busy, one after another, so that a drift of the machine falls on all alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from pydantic import Field

from dfml.bench.job import Row, Rows, Say
from dfml.bench.report import claim_report, machine, markdown_table, write_report
from dfml.bench.study_config import BenchConfig
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Done
from dfml.inversion import INVERTERS
from dfml.methods import METHODS
from dfml.runs.processes import search_path
from dfml.zoo import open_zoo

CHOSEN, DEFAULT = "by load", "library's default"
WAYS = {
    DEFAULT: {"GOMP_SPINCOUNT": "300000"},  # named, so that waits do not follow the load
    CHOSEN: {},
}
STEERING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY")
LOADS = {"idle": 3, "busy": 1}
"""How often each is measured in a round. Idle times are to agree within 5 %, and single ones scatter by ten."""
WORKS = {"inversion": "pixel inversion", "training": "demo training (purer), 30 iterations"}
MOST_BUSY, MOST_IDLE = 2.6, 1.05
"""What is asked for: busy against idle, and idle against the library's default."""

_KEY = ("round", "work", "way", "load", "turn")
# Ends with the one that started it, even where that is killed.
_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass"


class WaitingConfig(BenchConfig):
    """``bench waiting``."""

    options = "zoo rounds work out"
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    rounds: int = Field(5, ge=1, description="Interleaved rounds.")
    work: Path = Field(Path("runs/bench/waiting"), description="Folder of the measurements; those there stay.")


def bench_waiting(config: WaitingConfig, *, progress: Say = lambda line: None) -> Row:
    """Time ways in which threads wait for each other, on an idle machine and beside busy programs.

    Each measurement is kept in ``work`` at once, so that the same call goes on from there; raise BadInput where what is
    kept was measured on another zoo or machine. The table is written anew after each round.

    Returns:
        ``rows``: work, way, medians of ``idle_seconds`` and ``busy_seconds``, ``busy_ratio`` (median over rounds of
        busy / idle) and ``idle_ratio`` (of idle / idle of the library's default); ``measured``; the report's path.
    """
    claim_report(config.out, "waiting")

    from dfml.nets.device import use_threads

    use_threads()
    order = {"zoo": config.zoo, "machine": machine()}
    config.work.mkdir(parents=True, exist_ok=True)
    kept = config.work / "waiting.jsonl"
    measured = _measured(kept, order)
    kept.write_text("".join(json.dumps(line) + "\n" for line in [order, *measured]))
    known = {tuple(m[name] for name in _KEY) for m in measured}
    result: Row = {}
    turns = [(piece, load, turn) for piece in WORKS for load, times in LOADS.items() for turn in range(times)]
    for number in range(config.rounds):
        for piece, load, turn in turns:
            # Each turn begins with another way, so that none always follows the same one.
            for way in sorted(WAYS, reverse=bool((number + turn) % 2)):
                place = (number, piece, way, load, turn)
                if place in known:
                    continue
                with busy_programs(order["machine"]["cores"] if load == "busy" else 0):
                    seconds = _timed(piece, config.zoo, WAYS[way])
                measured.append({**dict(zip(_KEY, place, strict=True)), "seconds": seconds})
                with kept.open("a") as file:
                    file.write(json.dumps(measured[-1]) + "\n")
                progress(f"round {number + 1} of {config.rounds}: {piece}, {way}, {load}: {seconds:.2f} s")
        result = _report(measured, number + 1, config)
    return result


def _measured(kept: Path, order: Row) -> Rows:
    """What was measured before; a last line that was cut off is left out."""
    lines = []
    for line in kept.read_text(encoding="utf-8", errors="replace").splitlines() if kept.is_file() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    if lines and lines[0] != order:
        raise BadInput(f"{kept} was measured on another zoo or machine: choose another --work.")
    # Once there was one turn a round.
    found = [{"turn": 0, **m} for m in lines[1:] if isinstance(m, dict)]
    return [m for m in found if {*_KEY, "seconds"} <= m.keys()]


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Have so many other programs compute all the time, one thread each."""
    running = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def _timed(piece: str, zoo: str, variables: dict[str, str]) -> float:
    environment = {k: v for k, v in os.environ.items() if k not in STEERING}
    done = subprocess.run(
        [sys.executable, "-m", "dfml.bench.timings", piece, zoo],
        env={**environment, "PYTHONPATH": search_path(), **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RunFailed(f"{piece} failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return float(done.stdout.splitlines()[-1])


def _report(measured: Rows, rounds: int, config: WaitingConfig) -> Row:
    import pandas as pd

    seconds = pd.DataFrame(measured).pivot_table(index="round", columns=["work", "way", "load"], values="seconds")
    seconds = seconds.head(rounds)
    rows = [
        {
            "work": piece,
            "way": way,
            "idle_seconds": seconds[piece, way, "idle"].median(),
            "busy_seconds": seconds[piece, way, "busy"].median(),
            "busy_ratio": (seconds[piece, way, "busy"] / seconds[piece, way, "idle"]).median(),
            "idle_ratio": (seconds[piece, way, "idle"] / seconds[piece, DEFAULT, "idle"]).median(),
        }
        for piece, way in product(WORKS, WAYS)
    ]
    report = write_report(
        config,
        "waiting",
        title="How threads wait for each other",
        tables=[
            markdown_table(
                "work | waiting | idle, s | busy, s | busy / idle | idle / default's idle",
                "{name} | {way} | {idle_seconds:.2f} | {busy_seconds:.2f} | {busy_ratio:.2f} | {idle_ratio:.2f}",
                [{"name": WORKS[row["work"]], **row} for row in rows],
            )
        ],
        notes=[
            f"Medians of {rounds} interleaved rounds; ratios are medians of the rounds' own. In a round each way is "
            f"measured {LOADS['idle']} times idle, in turns, of which the mean counts.",
            "Busy: beside one other program a core that computes all the time.",
            f"The commands and workers wait `{CHOSEN}`: long while cores are free, short beside others.",
            f"Asked for are at most {MOST_BUSY} busy and {MOST_IDLE} idle.",
        ],
        data={"rows": rows, "rounds": rounds, "measured": measured},
    )
    return {"rows": rows, "rounds": rounds, "measured": measured, "report": report}


def time_work(piece: str, zoo: str) -> float:
    """Do one piece of work in this process; return the seconds of its steps, without what comes before the first."""
    import torch

    from dfml.inversion.recipe import Recipe
    from dfml.nets.device import use_threads
    from dfml.reports.recovery import invert_teachers
    from dfml.training.context import Training

    use_threads()
    device, opened = torch.device("cpu"), open_zoo(zoo)
    if piece == "inversion":
        events = invert_teachers(Recipe(opened, INVERTERS.get("pixels")(), device=device), opened.ids[:1])
    else:
        method = METHODS.get("purer")
        few = {"iterations": 30, "warm_start": 2, "warm_up": 4, "validation_episodes": 1}
        generator = torch.Generator().manual_seed(0)
        events = method(method.preset("demo").override(few)).train(Training(opened, device=device, generator=generator))
    started = None
    for event in events:
        started = started or time.perf_counter()
        if isinstance(event, Done):
            break
    assert started is not None
    return time.perf_counter() - started


if __name__ == "__main__":
    print(time_work(*sys.argv[1:]))
