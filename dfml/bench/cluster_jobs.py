"""The jobs of a study on a cluster: each is done by one worker, by the same function as on one machine."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from dfml.bench.job import BenchJob, Row, failure, finished_rows
from dfml.core.errors import DfmlError, StopRequested
from dfml.runs.driver import holding
from dfml.runs.remote.at_node import Work
from dfml.runs.remote.from_here import RemoteRun, folders_of
from dfml.runs.status import STOP


@dataclass(eq=False)
class RemoteJob:
    """A job at work somewhere, and what it said last."""

    label: str
    text: str = ""

    def say(self, text: str) -> None:
        """Keep how far it is."""
        self.text = text


class OnCluster:
    """The jobs of one asker on a cluster, which may call ``outcome_of`` in several threads; ``running`` holds them.

    ``work`` does a job, a line of JSON, on its node.
    """

    def __init__(self, address: str, work: Work) -> None:
        self.address, self.work = address, work
        self.running: list[RemoteJob] = []
        self._over = threading.Event()

    def outcome_of(self, job: BenchJob) -> Row:
        """Do what is left of a job; its run's folder and what is kept beside it are here as if it was done here.

        ``StopRequested``: ``stop`` was called.
        """
        from dfml.bench.measuring import opened

        if job.refused:
            return failure("cannot", job.refused)
        if (rows := finished_rows(job)) is not None:
            return {"rows": rows}
        told = RemoteJob(job.label)
        self.running.append(told)
        try:
            run, ledger = opened(job)
            order = job.model_copy(update={"prints": job.all_prints()}).model_dump(mode="json")
            folders = folders_of(job.spec.zoo, job.spec.data, *job.data)
            there = RemoteRun(
                self.address, run.path, tell=told.say, beside=ledger.path.name,
                wanted=lambda: not (self._over.is_set() or (run.path / STOP).exists()),
            )  # fmt: skip
            with holding(run):
                (run.path / STOP).unlink(missing_ok=True)  # an old one
                return there.outcome(self.work, order, folders=folders, device=job.spec.device)
        except StopRequested as stopped:
            if self._over.is_set():
                raise
            return failure("stopped", str(stopped))
        except (DfmlError, ValueError, OSError) as error:
            return failure("failed", str(error))
        finally:
            self.running.remove(told)

    def stop(self) -> None:
        """Start no more, and stop all; whoever waits for an outcome gets what was kept."""
        self._over.set()
