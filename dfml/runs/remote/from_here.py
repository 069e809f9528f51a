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
from dfml.cluster.nodes import NoAnswer
from dfml.core.errors import BadInput, RunFailed, StopRequested
from dfml.core.paths import given_path
from dfml.core.texts import is_address
from dfml.runs.remote import at_node
from dfml.runs.remote.mirror import Change, Sent, names_in, remove_others, write
from dfml.runs.status import ACTIVE, STATUS, write_raw
from dfml.zoo.listing import zoo_names

NEWS_SECONDS = 1.0
STOP_SECONDS = 22.0
"""How long a run on a node may take for its next checkpoint, and what it wrote for its way here."""
KEPT = ("started", "seconds", "step", "total", "device", "device_reason")


class RemoteRun:
    """One run on its way through a cluster.

    Args:
        folder: The run's, which exists.
        tell: Called with how far the run is.
        silent: Called with what is told of a node that does not answer; ``tell``, if left out.
        wanted: Asked every half second; once it says no, the run is stopped, and what it has kept is fetched.
        status: Makes of the node's ``status.json`` the one that is kept here.
        beside: A file beside the folder that belongs to it, if there is one.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        *,
        tell: Callable[[str], None],
        silent: Callable[[str], None] | None = None,
        wanted: Callable[[], bool],
        status: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        beside: str | None = None,
    ) -> None:
        self.address, self.folder, self.beside = address, folder, beside
        self.tell, self.silent, self.wanted, self.status = tell, silent or tell, wanted, status
        self._at: list[str] = []
        self._over = False
        self._heard = 0
        self._marks = Path()
        self._stopping: float | None = None
        self._asked = 0.0

    def outcome(self, work: at_node.Work, order: dict[str, Any], *, folders: Sequence[str], device: str) -> Any:  # noqa: ANN401 - JSON
        """Have ``work``, a function of a module, done by a worker; see ``at_node.do_run``.

        ``StopRequested``: it was not ``wanted`` before it began. ``RunFailed``: the node had not heard of us, and ended
        it. For the others see ``in_processes``.
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
                    if outcome is not None and not self._over:
                        raise RunFailed("its node had not been asked for a minute, and stopped it; what came is kept.")
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
        at: list[str] = []
        with suppress(OSError, ValueError):  # nobody has told yet, or is telling
            at = json.loads((self._marks / at_node.AT).read_text(encoding="ascii"))
        if at and at != self._at and not self._greet(ask, at):
            return
        if not self._at or self._over or time.monotonic() - self._asked < NEWS_SECONDS:
            return
        self._asked = time.monotonic()
        at = self._at
        if self._stopping is not None:
            self._answer(ask, at, at_node.stop)
        while (news := self._answer(ask, at, at_node.news, self._heard)) is not None:
            self._heard += 1
            if news.text:
                self.tell(news.text)
            self._keep(news.changes)
            if news.names is None:
                continue
            remove_others(self.folder, {name.partition("/")[2] for name in news.names if "/" in name})
            if news.over:
                self._answer(ask, at, at_node.goodbye)
                self._over = True
            return

    def _greet(self, ask: Ask, at: list[str]) -> bool:
        """Send a node all files, and let it begin; whether it has them: only then is what it has what is to be here."""
        self._at, self._over, self._heard = [], False, 0
        try:
            for change in Sent().changes(self.folder.parent, self._files()):
                if self._is_over() or not self._answer(ask, at, at_node.give, [as_stopped(change)]):
                    return False
        except OSError as error:
            raise RunFailed(f"cannot read {error.filename or self.folder}: {error.strerror}.") from None
        if not self._answer(ask, at, at_node.begin):
            return False
        self._at = at
        return True

    def _files(self) -> list[str]:
        own = [f"{self.folder.name}/{name}" for name in names_in(self.folder)]
        return [*own, self.beside] if self.beside else own

    def _answer(self, ask: Ask, at: list[str], function: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401
        """What the node says; None where it is gone, or gives no sign of life."""
        worker, number = at
        try:
            return ask(function, number, *given, workers=[worker], on_error="raise").get(worker)
        except NoAnswer as told:
            self.silent(str(told))
        except (OSError, TimeoutError, KeyError, ValueError):
            pass
        return None

    def _keep(self, changes: list[Change]) -> None:
        for change in changes:
            place, _, name = change.name.partition("/")
            if change.name == self.beside:
                write(self.folder.parent, [change])
            elif place == self.folder.name and name == STATUS:
                write_raw(self.folder, self.status(json.loads(change.content)))
            elif place == self.folder.name and name:
                write(self.folder, [replace(change, name=name)])


def as_stopped(change: Change) -> Change:
    """A run's status on its way to a node, which is to go on with what is there; other files are left as they are."""
    if change.name.count("/") != 1 or not change.name.endswith(f"/{STATUS}"):
        return change
    raw = json.loads(change.content)
    if raw.get("state") in ACTIVE:
        raw = {**{name: raw.get(name) for name in KEPT}, "state": "stopped"}
    return replace(change, content=json.dumps(raw).encode())


def folders_of(*sources: str | None) -> list[str]:
    """Those of the zoos, data sets and models that are folders which a node may lack; ``BadInput``: one is a server."""
    if any(is_address(name) for name in sources if name):
        raise BadInput("the teachers of a server are asked from here: leave --cluster out.")
    named = {name for name in sources if name and not name.startswith("sample:")}
    return sorted(name for name in named - set(zoo_names()) if given_path(name).is_dir())
