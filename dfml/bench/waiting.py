"""``bench waiting``: what it costs that threads wait for each other, on an idle machine and beside busy programs.

A measurement is a process of its own, since OpenMP libraries read how to wait when they are loaded. In each round
every way of waiting is measured idle and busy, one after another, so that a drift of the machine falls on all alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfml.bench.report import claim_report, machine, markdown_table, write_report
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Done

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

_PLACE = ("round", "work", "way", "load", "turn")
# Ends with the one that started it, even where that is killed.
_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass"


def bench_waiting(
    *,
    zoo: str,
    out: Path,
    work: Path,
    command: str,
    rounds: int = 5,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time an inversion and a training with each way of waiting, idle and beside one busy thread a core.

    Args:
        zoo: An embedded zoo's name or a folder.
        out: Folder of the table, written anew after each round.
        work: Folder in which each measurement is kept at once; the same call goes on from there.
        command: For the report.
        rounds: Interleaved pairs of idle and busy.
        progress: Told one line a measurement.

    Returns:
        ``rows``: work, way, medians of ``idle_seconds`` and ``busy_seconds``, ``busy_ratio`` (median over rounds of
        busy / idle) and ``idle_ratio`` (of idle / idle of the library's default); ``measured``; the report's path.

    Raises:
        BadInput: What is kept in ``work`` was measured on another zoo or machine.
        RunFailed: A measurement failed.
    """
    claim_report(out, "waiting")
    order = {"zoo": zoo, "machine": machine()}
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "waiting.jsonl"
    measured = _measured(kept, order)
    kept.write_text("".join(json.dumps(line) + "\n" for line in [order, *measured]))
    known = {tuple(m[field] for field in _PLACE) for m in measured}
    result: dict[str, Any] = {}
    for number in range(rounds):
        turns = [(piece, load, turn) for piece in WORKS for load, times in LOADS.items() for turn in range(times)]
        for piece, load, turn in turns:
            # Each turn begins with another way, so that none always follows the same one.
            for way in sorted(WAYS, reverse=bool((number + turn) % 2)):
                place = (number, piece, way, load, turn)
                if place in known:
                    continue
                with busy_programs(order["machine"]["cores"] if load == "busy" else 0):
                    seconds = _timed(piece, zoo, WAYS[way])
                measured.append({**dict(zip(_PLACE, place, strict=True)), "seconds": seconds})
                with kept.open("a") as file:
                    file.write(json.dumps(measured[-1]) + "\n")
                progress(f"round {number + 1} of {rounds}: {piece}, {way}, {load}: {seconds:.2f} s")
        result = _report(measured, number + 1, out, command)
    return result


def _measured(kept: Path, order: dict[str, Any]) -> list[dict[str, Any]]:
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
    return [m for m in found if {*_PLACE, "seconds"} <= m.keys()]


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
        [sys.executable, "-m", "dfml.bench.waiting", piece, zoo],
        env={**environment, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RunFailed(f"{piece} failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return float(done.stdout.splitlines()[-1])


def _report(measured: list[dict[str, Any]], rounds: int, out: Path, command: str) -> dict[str, Any]:
    rows = [_row(measured, piece, way, rounds) for piece in WORKS for way in WAYS]
    table = markdown_table(
        ["work", "waiting", "idle, s", "busy, s", "busy / idle", "idle / default's idle"],
        [
            [
                WORKS[r["work"]], r["way"], f"{r['idle_seconds']:.2f}", f"{r['busy_seconds']:.2f}",
                f"{r['busy_ratio']:.2f}", f"{r['idle_ratio']:.2f}",
            ]
            for r in rows
        ],
    )  # fmt: skip
    notes = [
        f"Medians of {rounds} interleaved rounds; ratios are medians of the rounds' own. In a round each way is "
        f"measured {LOADS['idle']} times idle, in turns, of which the mean counts.",
        "Busy: beside one other program a core that computes all the time.",
        f"The commands and workers wait `{CHOSEN}`: long while cores are free, short beside others.",
        f"Asked for are at most {MOST_BUSY} busy and {MOST_IDLE} idle.",
    ]
    data = {"rows": rows, "rounds": rounds, "measured": measured}
    report = write_report(
        out, "waiting", title="How threads wait for each other", command=command, tables=[table], notes=notes, data=data
    )
    return {**data, "report": str(report)}


def _row(measured: list[dict[str, Any]], piece: str, way: str, rounds: int) -> dict[str, Any]:
    def seconds(of: str, load: str) -> list[float]:
        found = [m for m in measured if (m["work"], m["way"], m["load"]) == (piece, of, load)]
        return [statistics.fmean(m["seconds"] for m in found if m["round"] == number) for number in range(rounds)]

    def ratio(above: list[float], below: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(above, below, strict=True))

    idle, busy = seconds(way, "idle"), seconds(way, "busy")
    return {
        "work": piece,
        "way": way,
        "idle_seconds": statistics.median(idle),
        "busy_seconds": statistics.median(busy),
        "busy_ratio": ratio(busy, idle),
        "idle_ratio": ratio(idle, seconds(DEFAULT, "idle")),
    }


def time_work(piece: str, zoo: str) -> float:
    """Do one piece of work in this process; the seconds of its steps, without what comes before the first."""
    import torch

    from dfml.inversion import INVERTERS
    from dfml.methods import METHODS
    from dfml.nets.device import use_threads
    from dfml.reports.recovery import invert_teachers
    from dfml.training.context import Training
    from dfml.zoo import open_zoo

    use_threads()
    device, opened = torch.device("cpu"), open_zoo(zoo)
    if piece == "inversion":
        events = invert_teachers(opened, opened.ids[:1], INVERTERS.get("pixels")(), device=device)
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
    return time.perf_counter() - started


if __name__ == "__main__":
    print(time_work(*sys.argv[1:]))
