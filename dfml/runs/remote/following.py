"""A run that a cluster does: its worker here only follows, so that whoever looks sees it as any other."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dfml.cluster.connecting import asked_for
from dfml.core.errors import BadInput, DfmlError, RunFailed, StopRequested
from dfml.core.events import Note, Progress, Scalars
from dfml.runs.folder import RunFolder
from dfml.runs.processes import JobProcesses
from dfml.runs.recorder import HEARTBEAT_SECONDS, Listener
from dfml.runs.remote.from_here import RemoteRun, folders_of
from dfml.runs.status import ACTIVE, LOG, write_raw
from dfml.runs.stopping import StopSwitch

OWN = ("pid", "process", "host", "foreground", "queued")
"""What a run's status says of its worker here, whatever the node says of its own."""


def follow(
    folder: RunFolder, raw: dict[str, Any], tell: Listener, one_line: Callable[[Exception, RunFolder], DfmlError]
) -> dict[str, Any] | None:
    """Let the run's cluster do it; the folder, held by this process, follows. Return the result, None if stopped.

    ``raw`` is the status to start from, and ``one_line`` makes any error one for people. Raises as ``run_in_process``.
    """
    spec = folder.spec
    with StopSwitch(folder.path) as stop:
        status = _Status(folder, raw, tell)

        def wanted() -> bool:
            status.beat()
            if stop.wanted():
                stop.settle()  # the node stops at its next safe point: until then, nothing breaks in here
            return not stop.requested

        try:
            address = asked_for(None) or spec.cluster  # that of today, where the cluster was started anew
            status.change(state="queued", text=f"waiting for a worker of the cluster at {address}")
            there = RemoteRun(
                address, folder.path, tell=lambda text: None, silent=status.say, wanted=wanted, status=status.of_node
            )  # fmt: skip
            found = there.outcome(
                do_there, {}, folders=folders_of(spec.zoo, spec.data), device=spec.device
            )  # fmt: skip
        except (StopRequested, KeyboardInterrupt):
            stop.settle()
            status.change(state="stopped", text="stopped on request")
            return None
        except Exception as error:
            stop.settle()
            if not isinstance(error, DfmlError):
                with suppress(OSError), (folder.path / LOG).open("a", encoding="utf-8") as log:
                    log.write(traceback.format_exc())
            clear = one_line(error, folder)
            status.change(state="failed", error=str(clear))
            raise clear from error
        stop.settle()
        status.change()
    if "error" in found:
        raise (BadInput if found["bad_input"] else RunFailed)(found["error"])
    return found


class _Status:
    """``status.json`` of a run that is followed."""

    def __init__(self, folder: RunFolder, raw: dict[str, Any], tell: Listener) -> None:
        self.folder, self.raw, self.tell = folder, raw, tell
        self.own = {name: raw.get(name) for name in OWN}
        self.written, self.told, self.going = 0.0, 0, "queued"

    def change(self, **values: Any) -> None:  # noqa: ANN401 - any of its values
        """Write it with other values; here, and nowhere else, it may say that the run has ended."""
        ended = dict.fromkeys(("eta_seconds", "eta_range")) if values.get("state") in ("stopped", "failed") else {}
        self.raw = {**self.raw, **ended, **values}
        write_raw(self.folder.path, {**self.raw, "updated": time.time()})

    def beat(self) -> None:
        """Write it again now and then, so that it is seen to be alive."""
        if time.monotonic() - self.written > HEARTBEAT_SECONDS:
            write_raw(self.folder.path, self.of_node({}))

    def say(self, text: str) -> None:
        """Say something of the node in its place; how long the run will take is then unknown."""
        write_raw(self.folder.path, self.of_node({"text": text, "eta_seconds": None, "eta_range": None}))

    def of_node(self, there: dict[str, Any]) -> dict[str, Any]:
        """The status of the run here, by what its node says."""
        self.raw, self.written = {**self.raw, **there, **self.own}, time.monotonic()
        if there:
            self._tell()
        # It has not ended before all of it is here, and this process lets go of the folder.
        if self.raw["state"] in ACTIVE:
            self.going = self.raw["state"]
        return {**self.raw, "state": self.going, "updated": time.time()}

    def _tell(self) -> None:
        notes = self.folder.notes()
        for note in notes[self.told :]:
            self.tell(Note(note.step, note.text, note.kind))
        self.told = len(notes)
        newest = {name: values[-1] for name, (_, values) in self.folder.scalars().items() if values}
        self.tell(Scalars(self.raw.get("step") or 0, {name: v for name, v in newest.items() if v is not None}))
        self.tell(Progress(self.raw.get("step") or 0, self.raw.get("total") or 0, self.raw.get("text") or ""))


def do_there(order: str, processes: JobProcesses) -> dict[str, Any]:
    """Do the run of an order on the node that this is."""
    return processes.do("run", [sys.executable, "-m", "dfml.runs.remote.node_run"], order)
