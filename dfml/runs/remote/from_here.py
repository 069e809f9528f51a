"""A whole run that a cluster does, as whoever asked for it sees it: the run's folder here follows the one there."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dfml.cluster.fan_out import WHOLE, Ask, in_processes, part_of_gpu
from dfml.core.errors import StopRequested
from dfml.core.paths import given_path
from dfml.core.texts import is_address
from dfml.runs.remote import at_node
from dfml.runs.remote.mirror import Change, Sent, names_in, remove_others, write
from dfml.runs.status import ACTIVE, STATUS, write_raw
from dfml.zoo.listing import zoo_names

NEWS_SECONDS = 1.0
STOP_SECONDS = 45.0
"""How long a run on a node may take for its next checkpoint, and what it wrote for its way here."""
KEPT = ("started", "seconds", "step", "total", "device", "device_reason")


class RemoteRun:
    """One run on its way through a cluster.

    Args:
        folder: The run's, which exists; also files beside it whose names begin with its name.
        tell: Called with how far the run is.
        wanted: Asked every half second; once it says no, the run is stopped, and what it has kept is fetched.
        status: Makes of the node's ``status.json`` the one that is kept here.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        *,
        tell: Callable[[str], None],
        wanted: Callable[[], bool],
        status: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> None:
        self.address, self.folder = address, folder
        self.tell, self.wanted, self.status = tell, wanted, status
        self._at: list[str] = []
        self._over = False
        self._marks = Path()
        self._stopping: float | None = None
        self._asked = 0.0

    def outcome(self, work: at_node.Work, order: dict[str, Any], *, folders: Sequence[str], device: str) -> Any:  # noqa: ANN401 - JSON
        """Have ``work``, a function of a module, done by a worker; see ``at_node.do_run``.

        ``StopRequested``: it was not ``wanted`` before it began. For the others see ``in_processes``.
        """
        with tempfile.TemporaryDirectory() as marks:
            self._marks = Path(marks)
            done = in_processes(
                partial(at_node.do_run, work, self._marks), [json.dumps({**order, at_node.FOLDER: str(self.folder)})],
                jobs=self.address, what="did whole runs", folders=folders, marks=self._marks,
                gpu=part_of_gpu(device, WHOLE), look=self._look,
            )  # fmt: skip
            with closing(done):
                for outcome in done:
                    if outcome is not None:
                        return outcome
                    if self._is_over():
                        break
        raise StopRequested("stopped before it was done.")

    def _is_over(self) -> bool:
        if self._stopping is None and not self.wanted():
            self._stopping = time.monotonic()
        return self._stopping is not None and (not self._at or time.monotonic() - self._stopping > STOP_SECONDS)

    def _look(self, ask: Ask) -> None:
        """Follow the run; where its node was lost, another has it now, which goes on with what is here."""
        with suppress(OSError, ValueError):
            at = json.loads((self._marks / at_node.AT).read_text(encoding="ascii"))
            if at != self._at:
                self._greet(ask, at)
        if not self._at or self._over or time.monotonic() - self._asked < NEWS_SECONDS:
            return
        self._asked = time.monotonic()
        number = self._at[1]
        if self._stopping is not None:
            self._answer(ask, at_node.stop, number)
        while (news := self._answer(ask, at_node.news, number)) is not None:
            if news.text:
                self.tell(news.text)
            self._keep(news.changes)
            if news.names is None:
                continue
            remove_others(self.folder, {name.partition("/")[2] for name in news.names if "/" in name})
            if news.over:
                self._answer(ask, at_node.goodbye, number)
                self._over = True
            return

    def _greet(self, ask: Ask, at: list[str]) -> None:
        self._at, self._over = at, False
        for change in Sent().changes(self.folder.parent, files_of(self.folder)):
            if not self._answer(ask, at_node.give, at[1], [as_stopped(change)]):
                return
        self._answer(ask, at_node.begin, at[1])

    def _answer(self, ask: Ask, function: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401 - the function's
        """What the node says; None where it is gone."""
        worker = self._at[0]
        try:
            return ask(function, *given, workers=[worker], on_error="raise").get(worker)
        except (OSError, TimeoutError, KeyError, ValueError):
            return None

    def _keep(self, changes: list[Change]) -> None:
        own, name = f"{self.folder.name}/{STATUS}", self.folder.name
        mine = [change for change in changes if change.name.startswith((f"{name}/", f"{name}."))]
        write(self.folder.parent, [change for change in mine if change.name != own])
        for change in changes:
            if change.name == own:
                write_raw(self.folder, self.status(json.loads(change.content)))


def files_of(folder: Path) -> list[str]:
    """A run's files and those beside it, by their names in the folder that holds the run."""
    beside = [path.name for path in folder.parent.glob(f"{folder.name}.*") if path.is_file()]
    return [*(f"{folder.name}/{name}" for name in names_in(folder)), *beside]


def as_stopped(change: Change) -> Change:
    """A run's status on its way to a node, which is to go on with what is there; other files are left as they are."""
    if change.name.count("/") != 1 or not change.name.endswith(f"/{STATUS}"):
        return change
    raw = json.loads(change.content)
    if raw.get("state") in ACTIVE:
        raw = {**{name: raw.get(name) for name in KEPT}, "state": "stopped"}
    return replace(change, content=json.dumps(raw).encode())


def folders_of(*sources: str | None) -> list[str]:
    """Those of the zoos, data sets and models that are folders which a node may lack."""
    named = {name for name in sources if name and not is_address(name) and not name.startswith("sample:")}
    return sorted(name for name in named - set(zoo_names()) if given_path(name).is_dir())
