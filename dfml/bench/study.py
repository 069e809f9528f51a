"""A study: a list of jobs, some of them done side by side, each in processes of its own.

A job's training is an ordinary run: its folder shows it to every page and command, what was finished is taken as it
is, and what was stopped goes on. Unlike a run's worker, which outlives whoever started it, a study's processes
(``dfml.runs.processes``) end with the study: whoever stops listening, or is gone, ends them all. A job has one
(``dfml.bench.measuring``) for its training and evaluation and, before it, one for what the method prepares, because
only a process of its own has a peak of memory of its own, and its death is a failure of that job alone.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from typing import Any

from dfml.bench.cluster_jobs import OnCluster
from dfml.bench.job import BenchJob, Row, Say, failure, finished_rows
from dfml.bench.study_config import StudyConfig
from dfml.core.errors import RunFailed
from dfml.runs.device_lock import own_lock, take_turns
from dfml.runs.folder import RunFolder
from dfml.runs.processes import JobProcesses

COMMAND = [sys.executable, "-m", "dfml.bench.measuring"]
LOOK_SECONDS, TELL_SECONDS = 0.1, 20.0

Outcome = Row
"""Of a job: ``rows``, or ``kind`` and ``reason`` of a failure."""


def do_study(
    jobs: list[BenchJob],
    report: Callable[[dict[int, Outcome]], Row],
    config: StudyConfig,
    *,
    device: str,
    progress: Say,
) -> Row:
    """Do jobs, and report after each of them, so that a kill loses nothing measured; return the last report.

    ``report`` takes the outcomes so far by the positions of their jobs, in order; the config says how many at once, and
    on which cluster. For the rest see ``do_jobs``.
    """
    found: dict[int, Outcome] = {}
    result: Row = {}
    how: dict[str, Any] = {"side_by_side": config.jobs, "device": device, "cluster": config.cluster}
    with closing(do_jobs(jobs, progress=progress, **how)) as outcomes:
        for position, outcome in outcomes:
            found[position] = outcome
            if "reason" in outcome:
                told = f"{outcome['kind']}: {outcome['reason']}"
            else:
                best = max(row["accuracy"] for row in outcome["rows"])
                told = f"best {best:.1%}, trained in {outcome['rows'][0]['seconds']:.0f} s"
            progress(f"[{len(found)}/{len(jobs)} done] {jobs[position].label}: {told}")
            result = report(dict(sorted(found.items())))
    return result


def do_jobs(
    jobs: list[BenchJob], *, side_by_side: int, device: str, progress: Say, cluster: str = ""
) -> Generator[tuple[int, Outcome], None, None]:
    """Prepare, where there is something to prepare, train and evaluate each job; yield its position and outcome.

    With more than one ``side_by_side`` they hold the device together. With the address of a ``cluster`` its workers do
    them, as many at once as there are. ``progress`` is told now and then how far all
    are, and at once when one waits for the device.
    """
    processes: JobProcesses | OnCluster = OnCluster(cluster, do_there) if cluster else JobProcesses()
    said, last = {}, time.monotonic()
    side_by_side = max(1, len(jobs)) if cluster else side_by_side
    with ExitStack() as stack:
        if side_by_side > 1 and not cluster:
            stack.enter_context(take_turns(device, "a benchmark", progress))
        pool = stack.enter_context(ThreadPoolExecutor(side_by_side, "side-by-side"))
        waiting, left = deque(enumerate(jobs)), {}
        stack.callback(processes.stop)
        while waiting or left:
            while waiting and len(left) < side_by_side:  # not earlier: what is reported must not slow a run down
                position, job = waiting.popleft()
                left[pool.submit(do_job, job, processes)] = position
            done, _ = wait(left, LOOK_SECONDS, FIRST_COMPLETED)
            for future in sorted(done, key=left.__getitem__):
                yield left.pop(future), future.result()
            due = time.monotonic() - last >= TELL_SECONDS
            for child in list(processes.running):
                if child.text != said.get(child.label, "") and (due or child.text.startswith("waiting for ")):
                    said[child.label] = child.text
                    progress(f"[{len(jobs) - len(left) - len(waiting)}/{len(jobs)} done] {child.label}: {child.text}")
            last = time.monotonic() if due else last


def do_job(job: BenchJob, processes: JobProcesses | OnCluster) -> Outcome:
    """Do what is left of a job; called by a thread for each job."""
    if isinstance(processes, JobProcesses):
        return outcome_of(job, processes)
    return processes.outcome_of(job)


def do_there(order: str, processes: JobProcesses) -> Outcome:
    """Do a job, given as a line of JSON, on the node of a cluster that this is."""
    return outcome_of(BenchJob.model_validate_json(order), processes)


def outcome_of(job: BenchJob, processes: JobProcesses) -> Outcome:
    """Do what is left of a job, each stage in a process of its own."""
    if job.refused:
        return failure("cannot", job.refused)
    if (rows := finished_rows(job)) is not None:
        return {"rows": rows}
    # The study holds the device for all of them, so each thread's jobs have a lock of their own.
    variables = own_lock(threading.current_thread().name) if job.jobs > 1 else {}
    try:
        if job.prepares and RunFolder(job.folder).status().state != "finished":
            prepared = processes.do(job.label, [*COMMAND, "prepare"], job.model_dump_json(), **variables)
            if "reason" in prepared:
                return prepared
            job = job.model_copy(update={"preparation": prepared})
        return processes.do(job.label, [*COMMAND, "measure"], job.model_dump_json(), **variables)
    except (RunFailed, ValueError, OSError) as error:  # what is no answer, a process that cannot be started
        return failure("failed", str(error))
