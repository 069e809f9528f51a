"""What a process costs with all that it starts: seconds of all cores, of the clock, and the most memory."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from dfml.bench.job import Row
from dfml.core.errors import RunFailed
from dfml.core.system import KILL, SYSTEM
from dfml.runs.processes import start

LOOK_SECONDS = 0.2


class Family:
    """A process and what it started, looked at now and then: seconds and most memory of each so far."""

    def __init__(self, pid: int) -> None:
        self.own = psutil.Process(pid)
        self.cpu: dict[int, float] = {}
        self.peaks: dict[int, float] = {}

    def look(self) -> None:
        """See who is there, and what each has taken."""
        try:
            members = [self.own, *self.own.children(recursive=True)]
        except psutil.Error:
            return
        for member in members:
            try:
                with member.oneshot():
                    times, held = member.cpu_times(), member.memory_info().rss / 2**20
            except psutil.Error:
                continue
            self.cpu[member.pid] = times.user + times.system
            self.peaks[member.pid] = max(held, self.peaks.get(member.pid, 0.0))

    def row(self) -> Row:
        """``cpu_seconds`` of all, ``peak_mib`` of the process itself, and ``worker_peak_mib``: of the largest other."""
        others = {pid: value for pid, value in self.peaks.items() if pid != self.own.pid}
        spent = {"cpu_seconds": sum(self.cpu.values()), "others_cpu_seconds": sum(self.cpu[pid] for pid in others)}
        return {
            **spent,
            "peak_mib": self.peaks.get(self.own.pid),
            "worker_peak_mib": max(others.values(), default=None),
        }


def cost_of_process(command: list[str], scratch: Path, *, workers: bool = False) -> Row:
    """Run a process to its end, and return what it took; see ``Family.row``, and ``seconds`` of the clock.

    What it says itself in a last line of JSON counts in place of what was seen from outside: its own part is then
    without what loading the program took, and that of its ``workers`` is added. Its runs, cache and locks lie below
    ``scratch``.

    Raises:
        RunFailed: It failed; with its last words.
    """
    variables = {f"DFML_{name}": str(scratch / name.lower()) for name in ("RUNS", "CACHE", "LOCKS")}
    with tempfile.TemporaryFile() as words, tempfile.TemporaryFile() as said:
        clock = time.perf_counter()
        process = start(command, variables, stdin=subprocess.DEVNULL, stdout=said, stderr=words)
        try:
            family = Family(process.pid)
            while process.poll() is None:
                # Workers that end page in libraries which they never used: they count until the work is done.
                if not os.fstat(said.fileno()).st_size:
                    family.look()
                time.sleep(LOOK_SECONDS)
        finally:
            if process.poll() is None:
                SYSTEM.send(KILL, process.pid)
                process.wait()
        seconds = time.perf_counter() - clock
        lines = _last_lines(said)
        if process.returncode:
            reason = (_last_lines(words) or ["no message"])[-1]
            raise RunFailed(f"{' '.join(command[2:])} ended with exit code {process.returncode}: {reason}")
    row = {**family.row(), "seconds": seconds}
    own = _told(lines[-1]) if lines else {}
    if workers and "cpu_seconds" in own:
        own["cpu_seconds"] += row["others_cpu_seconds"]
    return {**row, **({} if workers else {"worker_peak_mib": None}), **own}


def _last_lines(file: Any) -> list[str]:  # noqa: ANN401 - a binary file
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - 4000))
    return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]


def _told(line: str) -> Row:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
