"""Runs as the pages see them: a row each for lists, and one open folder a session and run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.paths import runs_root
from dfml.runs.spec import RunSpec, read_spec
from dfml.runs.status import live_status
from dfml.ui.theme import ACTIVE

if TYPE_CHECKING:
    from dfml.runs.folder import RunFolder

PAGES = {"train": "pages/training_lab.py", "invert": "pages/inversion_lab.py"}


@dataclass(frozen=True)
class RunRow:
    """A run in a list.

    Attributes:
        name: Its folder's name.
        path: Its folder.
        kind: train, invert, pretrain, bench, or an empty string where it cannot be read.
        title: What people call it.
        state: See ``RunStatus``.
        step: Steps done.
        total: Steps in all, 0 where unknown.
        message: Why it failed, crashed or cannot be read.
        created: Seconds since 1970.
        spec: Its order, or None where it cannot be read.
    """

    name: str
    path: Path
    kind: str
    title: str
    state: str
    step: int
    total: int
    message: str
    created: float
    spec: RunSpec | None

    @property
    def age(self) -> str:
        """How long ago it was made, in words."""
        return age(time.time() - self.created)

    @property
    def active(self) -> bool:
        """Whether its numbers may still change."""
        return self.state in ACTIVE


def age(seconds: float) -> str:
    """``just now``, ``5 min ago``, ``3 h ago`` or ``2 days ago``."""
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h ago"
    days = int(seconds // 86400)
    return f"{days} day{'s' * (days > 1)} ago"


@lru_cache(maxsize=4096)
def _spec(path: Path, changed: int) -> RunSpec | str:
    try:
        return read_spec(path)
    except BadInput as error:
        return str(error)


def read_row(path: Path) -> RunRow:
    """Read one run's folder; a damaged or foreign one gives a row that says so."""
    file = path / "spec.json"
    try:
        changed = file.stat().st_mtime_ns
    except OSError:
        changed = 0
    spec = _spec(path, changed)
    if isinstance(spec, str):
        return RunRow(path.name, path, "", path.name, "unreadable", 0, 0, spec, changed / 1e9, None)
    status = live_status(path)
    created = datetime.fromisoformat(spec.created).timestamp() if spec.created else changed / 1e9
    return RunRow(
        path.name, path, spec.kind, spec.title, status.state, status.step, status.total, status.error or "", created, spec
    )


def run_rows(*kinds: str) -> list[RunRow]:
    """All runs, the newest first.

    Args:
        *kinds: Only these kinds (and what cannot be read); none means all.
    """
    root = runs_root()
    if not root.is_dir():
        return []
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    rows = [read_row(path) for path in folders]
    wanted = [row for row in rows if not kinds or row.kind in kinds or not row.kind]
    return sorted(wanted, key=lambda row: (row.created, row.name), reverse=True)


def active_rows() -> list[RunRow]:
    """The runs that wait or work now."""
    return [row for row in run_rows() if row.active]


def page_of(row: RunRow) -> tuple[str | None, dict[str, str]]:
    """The page that shows the run, and the parameters of its link."""
    return PAGES.get(row.kind), {"run": row.name}


def open_run(name: str) -> RunFolder:
    """The session's open folder of a run: it remembers how far its metrics were read.

    Raises:
        BadInput: There is no such run.
    """
    from dfml.runs.folder import RunFolder

    opened: dict[str, RunFolder] = st.session_state.setdefault("_open_runs", {})
    path = runs_root() / name
    if name not in opened or opened[name].path != path:
        if len(opened) >= 16:
            opened.pop(next(iter(opened)))
        opened[name] = RunFolder(path)
    return opened[name]
