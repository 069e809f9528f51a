"""Who is in a cluster, as whoever gives work out sees it: workers come and go, and each node is sent what it lacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

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
_sending = threading.Lock()  # jobs of one study share what they send


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
            threads = cast(dict[str, int], self.client.nthreads())
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
        if new := [worker for worker in threads if worker not in self._disks]:
            found = self.ask(node.facts, workers=new, on_error="ignore")
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

    def ask(self, function: Callable[..., Any], *given: Any, **how: Any) -> dict[str, Any]:  # noqa: ANN401 - any call's
        """Call a function on all workers, or ``workers``; return each one's answer."""
        return cast(dict[str, Any], self.client.run(function, *given, **how))
