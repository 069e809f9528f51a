"""What a task costs beside its work on a cluster of this machine, and whether whoever gives tasks out grows with them.

``python -m dfml.bench.scale.cluster_tasks ADDRESS COUNT`` gives out tasks that do nothing, and prints what that took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfml.bench.job import Row
from dfml.core.errors import RunFailed
from dfml.core.system import KILL, SYSTEM
from dfml.runs.processes import start

WORKERS = 2
PATIENCE_SECONDS = 600


def nothing(number: int) -> int:
    """A task that does nothing."""
    return number


@contextmanager
def own_cluster(folder: Path) -> Iterator[str]:
    """Start a scheduler and two workers on loopback, as people start them; yield the address.

    ``RunFailed``: one of them did not start.
    """
    commands: list[subprocess.Popen] = []

    def told(name: str, sign: str, *words: str) -> str:
        log = folder / f"{name}.log"
        variables = {"DFML_CACHE": str(folder / "node")}
        with log.open("wb") as file:
            command = [sys.executable, "-m", "dfml", "cluster", *words]
            commands.append(start(command, variables, stdin=subprocess.DEVNULL, stdout=file, stderr=file))
        end = time.monotonic() + PATIENCE_SECONDS
        while sign not in (said := log.read_text(encoding="utf-8", errors="replace")):
            if commands[-1].poll() is not None or time.monotonic() > end:
                raise RunFailed(f"the {name} of a cluster did not start: {(said.splitlines() or ['no message'])[-1]}")
            time.sleep(0.1)
        return said.partition(sign)[2].split(";")[0].strip()

    try:
        address = told("scheduler", "scheduler at ", "scheduler", "--port", "0")
        told("workers", "workers: ", "worker", address, "--processes", str(WORKERS))
        yield address
    finally:
        for command in reversed(commands):
            SYSTEM.send(KILL, command.pid)
            command.wait()


def give_out(address: str, count: int) -> Row:
    """Let a cluster do ``count`` tasks that do nothing; return ``overhead_ms`` a task and the most memory here.

    The clock begins when the first result is there, so that what begins and ends a work once is not in it.
    """
    from dfml.cluster.fan_out import in_processes

    done, first = 0, 0.0
    for found in in_processes(nothing, range(count), jobs=address, what="did nothing"):
        if found is not None:
            done += 1
            first = first or time.perf_counter()
    seconds = time.perf_counter() - first
    assert done == count
    return {
        "tasks": count,
        "overhead_ms": 1000 * seconds / (count - 1),
        "cpu_seconds": time.process_time(),
        "peak_mib": SYSTEM.peak_memory_mib(),
    }


def measured_apart(address: str, count: int) -> Row:
    """``give_out`` in a process of its own, whose memory is that of this work alone; ``RunFailed``: it failed."""
    command = [sys.executable, "-m", "dfml.bench.scale.cluster_tasks", address, str(count)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(command, {}, **pipes)
    try:
        said, words = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        if process.poll() is None:
            SYSTEM.send(KILL, process.pid)
            process.wait()
    if process.returncode:
        reason = (words.decode(errors="replace").strip() or "no message").splitlines()[-1]
        raise RunFailed(f"tasks on a cluster failed: {reason}")
    return json.loads(said.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(give_out(sys.argv[1], int(sys.argv[2]))), flush=True)
    os._exit(0)  # what Dask would still tidy up is not waited for
