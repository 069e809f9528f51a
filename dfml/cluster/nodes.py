"""Who is in a cluster, as whoever gives work out sees it: workers come and go, and each node is sent what it lacks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast

from dfml.cluster import node
from dfml.cluster.connecting import refuse_unlike
from dfml.cluster.parcels import Parcel, receive
from dfml.core.errors import RunFailed
from dfml.core.remedies import PROGRAM

if TYPE_CHECKING:
    from distributed import Client

LOOK_SECONDS = 0.5
ALONE_SECONDS = 60.0
"""How long a cluster may be without any worker."""
QUIET_SECONDS = 15.0
"""Without a sign of life, of which workers send one each second or two, for so long: nothing is asked any more."""
ASK_SECONDS = 60.0
"""How long an answer, with what comes with it, may be on its way."""
_sending = threading.Lock()  # jobs of one study share what they send


class NoAnswer(OSError):
    """A node gives no sign of life, or is no longer part of the cluster; says so in a line."""


class Nodes:
    """The workers of a cluster. Workers that share a disk are a node: it is sent a parcel once."""

    def __init__(
        self,
        client: Client,
        order: node.Order,
        parcels: Sequence[Parcel],
        *,
        gpu: float = 0.0,
        meanwhile: Callable[[Nodes], None] = lambda nodes: None,
    ) -> None:
        self.client, self.order, self.gpu, self.meanwhile = client, order, gpu, meanwhile
        self.address = client.scheduler.address if client.scheduler else "its address"
        self.parcels = {parcel.digest: parcel for parcel in parcels}
        self._disks: dict[str, str] = {}
        self._fit: set[str] = set()
        self._seen = time.monotonic()
        self._signs: dict[str, tuple[float, float]] = {}

    def wait(self) -> Iterator[None]:
        """Wait until there is a worker, and all that are there have what they need. ``RunFailed``: none comes."""
        self.greet()
        while not self._fit:
            yield None
            time.sleep(LOOK_SECONDS)
            self.greet()

    def greet(self) -> None:
        """See who is new, and send them what they lack. ``BadInput``: one is unlike; ``RunFailed``: nobody is left."""
        try:
            threads = self._look_for_signs()
        except (OSError, TimeoutError, ValueError) as error:
            raise self.gone(error) or error from None
        self._disks = {worker: disk for worker, disk in self._disks.items() if worker in threads}
        self._fit &= threads.keys()
        if self._fit:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > ALONE_SECONDS:
            share = "with a GPU" if self.gpu < 1 else "with a GPU for itself alone"
            raise RunFailed(
                f"the cluster at {self.address} has no workers{f' {share}' if self.gpu else ''}; what was finished is "
                f"kept: start some (`{PROGRAM} cluster worker {self.address}{' --gpu 0' if self.gpu else ''}`), and go "
                "on."
            )
        if new := [worker for worker in threads if worker not in self._disks and self._alive(worker)]:
            found: dict[str, Any] = {}
            with suppress(TimeoutError):
                found = self.ask(node.facts, workers=new, on_error="ignore", seconds=QUIET_SECONDS)
            refuse_unlike(found, threads)
            for worker, facts in found.items():
                if facts["disk"] not in self._disks.values() and not self._send(worker):
                    continue
                self._disks[worker] = facts["disk"]
                self._fit |= {worker} if facts["gpu"] >= self.gpu else set()

    def gone(self, error: Exception) -> RunFailed | None:
        """Say that the scheduler is not there any more, if the connection to it ended."""
        if self.client.status == "running" and not isinstance(error, OSError | TimeoutError):
            return None
        return RunFailed(
            f"the scheduler at {self.address} is gone; what was finished is kept: go on when it is there again."
        )

    def end_work(self) -> None:
        """Start those workers anew that are at this work; others are left alone."""
        with suppress(Exception):  # who is gone does nothing any more
            found = self.ask(node.works_for, self.order.token, on_error="ignore")
            busy = [worker for worker, at_work in found.items() if at_work]
            if busy:
                self.client.restart_workers(busy, timeout=20, raise_for_error=False)

    def _send(self, worker: str) -> bool:
        """Send a worker what it lacks; False where it is to be tried again: another job is sending, or it was lost."""
        if not _sending.acquire(blocking=False):
            self._seen = time.monotonic()
            return False
        try:
            asked = self.ask(node.lacks, dict(self.order.folders), self.order.work, workers=[worker])
            for digest in asked[worker]:
                parcel = self.parcels[digest]
                for part in parcel.pieces():
                    self.ask(receive, digest, part, dict(parcel.sums), workers=[worker])
                    self.meanwhile(self)
            return True
        except (OSError, TimeoutError, KeyError):
            return False
        finally:
            _sending.release()

    def ask(
        self,
        function: Callable[..., Any],
        *given: Any,  # noqa: ANN401 - any call's
        workers: Sequence[str] | None = None,
        seconds: float = ASK_SECONDS,
        on_error: Literal["raise", "ignore"] = "raise",
    ) -> dict[str, Any]:
        """Call a function on all workers that are alive, or on these; return each one's answer.

        Raises:
            NoAnswer: One of ``workers`` gives no sign of life.
            TimeoutError: An answer took longer than ``seconds``.
        """
        self._need_alive(workers or ())
        asked = list(workers or filter(self._alive, self._signs))
        if not asked:
            return {}
        # A worker that hangs would be waited for without end.
        how: dict[str, Any] = {"on_error": on_error, "asynchronous": True, "callback_timeout": seconds}
        loop: Any = self.client.loop
        call = cast(Coroutine, self.client.run(function, *given, workers=asked, **how))
        waiting = asyncio.run_coroutine_threadsafe(call, loop.asyncio_loop)
        try:
            while not wait([waiting], LOOK_SECONDS).done:
                self._need_alive(workers or ())
        finally:
            waiting.cancel()  # if it is not done
        answers = cast(dict[str, Any], waiting.result())
        self._signs |= {worker: (self._signs[worker][0], time.monotonic()) for worker in answers}
        return answers

    def _need_alive(self, workers: Sequence[str]) -> None:
        for worker in workers:
            if not self._alive(worker):
                self._look_for_signs()
            if worker not in self._signs:
                raise NoAnswer(f"node {worker} has left the cluster; waiting for another one")
            if not self._alive(worker):
                silent = time.monotonic() - self._signs[worker][1]
                raise NoAnswer(f"node {worker} has not answered for {silent:.0f} s")

    def _look_for_signs(self) -> dict[str, int]:
        """See which workers the scheduler has heard of again; return the number of threads of each that it knows."""
        scheduler: Any = self.client.scheduler
        known = cast(dict[str, Any], self.client.sync(scheduler.identity, callback_timeout=ASK_SECONDS))["workers"]
        # The time of its last sign is by the scheduler's clock: here it counts when it is another one than before.
        now, before = time.monotonic(), self._signs
        self._signs = {
            worker: before[worker] if before.get(worker, (0.0,))[0] == its["last_seen"] else (its["last_seen"], now)
            for worker, its in known.items()
        }
        return {worker: its["nthreads"] for worker, its in known.items()}

    def _alive(self, worker: str) -> bool:
        return worker in self._signs and time.monotonic() - self._signs[worker][1] <= QUIET_SECONDS
