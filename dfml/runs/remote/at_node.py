"""A whole run at work on a cluster's node: its processes, and what whoever asked for it is told and sent meanwhile."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfml.cluster import node
from dfml.core.errors import RunFailed
from dfml.runs.processes import JobProcesses
from dfml.runs.remote.mirror import PIECE, Change, Sent, names_in, write

FOLDER = "folder"
"""The entry of an order that names the run's folder."""
AT = "at"
"""What a node tells first: where it can be asked, and the number of its process's run there."""
LOOK_SECONDS, SILENT_SECONDS = 0.5, 60.0
"""Who has not asked for so long is gone."""

Work = Callable[[str, JobProcesses], Any]
"""Does what an order of one line says in processes, and returns their outcome, any JSON value."""


@dataclass(frozen=True)
class News:
    """What a node says when it is asked.

    Attributes:
        text: How far the run is.
        over: Whether its processes have ended.
        changes: Of its files, in order; there are more where ``names`` is None, else these are all that it has.
    """

    text: str
    over: bool
    changes: list[Change]
    names: set[str] | None


@dataclass
class _AtWork:
    number: str
    root: Path
    crew: JobProcesses = field(default_factory=JobProcesses)
    sent: Sent = field(default_factory=Sent)
    told: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    asked: float = field(default_factory=time.monotonic)


_run: _AtWork | None = None  # a worker has one thread, hence one run


def do_run(work: Work, marks: Path, order: str) -> Any:  # noqa: ANN401 - any JSON value
    """Be the node of one run, from the arrival of its files until all that it wrote is fetched; return its outcome.

    ``order`` is a JSON object with the asker's paths, whose ``folder`` is the run's. Whoever asks is told ``AT``, then
    calls ``give``, ``begin``, ``news`` until it says that all is over, and ``goodbye``; or ``stop`` in between. Where
    nobody waits any more, the processes are stopped, so that nothing computes for nobody.

    ``RunFailed``: the files did not come.
    """
    global _run
    said = json.loads(order)
    logging.getLogger("distributed.worker").addFilter(_is_no_question)
    # Among the worker's own files: Dask removes those of a worker that was killed. As the run itself will call it.
    with tempfile.TemporaryDirectory(prefix="dfml-run-", dir=Path(_worker().local_directory).resolve()) as place:
        root, there = Path(place) / "run", str(said[FOLDER])
        here = root / Path(there).name
        _run = run = _AtWork(os.urandom(8).hex(), root)
        # Workers of one machine do not wait for each other's device: the cluster has given it to this run.
        before, os.environ["DFML_LOCKS"] = os.environ.get("DFML_LOCKS"), str(Path(place) / "locks")
        threading.Thread(target=_end_if_alone, args=(run,), daemon=True).start()
        try:
            node.tell(marks, AT, json.dumps([str(_worker().address), run.number]))
            run.begun.wait()
            if run.gone.is_set():
                raise RunFailed("whoever asked for this run is gone.")
            outcome = work(json.dumps({**said, FOLDER: str(here)}), run.crew)
            _as_the_asker_calls_it(root, here, there)
            run.ended.set()
            run.gone.wait()
            return json.loads(_renamed(json.dumps(outcome), here, there))
        finally:
            run.gone.set()
            run.crew.stop()
            _run = None
            if before is None:
                del os.environ["DFML_LOCKS"]
            else:
                os.environ["DFML_LOCKS"] = before


def give(number: str, changes: list[Change]) -> bool:
    """Write some of the run's files; whether it is still here. Once it has begun, they are its own."""
    if (run := _known(number)) is not None and not run.begun.is_set():
        write(run.root, changes)
    return run is not None


def begin(number: str) -> bool:
    """Let the run begin: all its files are here."""
    if (run := _known(number)) is not None:
        run.begun.set()
    return run is not None


def news(number: str, heard: int) -> News | None:
    """How the run is, and what it has written since the last time; None where it is not here any more.

    ``heard`` says how many were heard before: where one was lost on its way, nobody knows what came, and all is sent.
    """
    if (run := _known(number)) is None:
        return None
    if heard != run.told:
        run.sent = Sent()
    run.told = heard + 1
    over = run.ended.is_set()
    texts = [child.text for child in list(run.crew.running) if child.text]
    found: list[Change] = []
    size = 0
    for change in run.sent.changes(run.root, names_in(run.root)):
        found.append(change)
        size += len(change.content)
        if size >= PIECE:
            return News(texts[-1] if texts else "", False, found, None)
    return News(texts[-1] if texts else "", over, found, set(names_in(run.root)))


def stop(number: str) -> bool:
    """Let the run stop at its next checkpoint; returns at once."""
    if (run := _known(number)) is not None:
        threading.Thread(target=run.crew.stop, daemon=True).start()
    return run is not None


def goodbye(number: str) -> None:
    """Everything was fetched."""
    if (run := _known(number)) is not None:
        run.gone.set()


def _known(number: str) -> _AtWork | None:
    run = _run
    if run is None or run.number != number:
        return None
    run.asked = time.monotonic()
    return run


def _end_if_alone(run: _AtWork) -> None:
    while not run.gone.wait(LOOK_SECONDS):
        if time.monotonic() - run.asked > SILENT_SECONDS:
            run.gone.set()
    run.begun.set()
    run.crew.stop()


def _as_the_asker_calls_it(root: Path, here: Path, there: str) -> None:
    for path in [*here.glob("*.json"), *root.glob("*.json")]:
        text = path.read_text(encoding="utf-8")
        if (renamed := _renamed(text, here, there)) != text:
            path.write_text(renamed, encoding="utf-8")


def _renamed(text: str, here: Path, there: str) -> str:
    """JSON in which a folder has another path, whichever way its letters are written."""
    for ascii_only in (True, False):
        old, new = (json.dumps(path, ensure_ascii=ascii_only)[1:-1] for path in (str(here), there))
        text = text.replace(old, new)
    return text


def _is_no_question(record: logging.LogRecord) -> bool:
    """Whether a line is worth the worker's log: that it was asked how a run is, each second, is not."""
    return f"'{news.__name__}'" not in record.getMessage()


def _worker() -> Any:  # noqa: ANN401 - Dask loads slowly
    from distributed import get_worker

    return get_worker()
