"""What all who watch a run are shown: made once for them, by the first who looks after its files have changed."""

import threading
import time
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

from dfml.runs.folder import RESULT, RunFolder
from dfml.runs.metrics import METRICS

YOUNG = 0.5
"""Seconds for which what one viewer of a run that works has made is good for the others, though the run has gone on:
else the charts of a fast one were made anew for each of them."""


class _Place:
    """The newest value of its kind, of which version of the files it is, and who made it when."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.version: Hashable = None
        self.value: Any = None
        self.viewer, self.made = "", float("-inf")


@lru_cache(maxsize=64)
def _place(_what: str, _path: Path) -> _Place:
    return _Place()


def shared(what: str, path: Path, version: Hashable, make: Callable[[Any], Any], young: float = 0) -> Any:  # noqa: ANN401
    """Return what ``make`` returned, for anybody, of this ``version`` of ``path``; None is of no version.

    What another viewer made less than ``young`` seconds ago counts as new. ``make`` is given its last value, None at
    first.
    """
    place, viewer = _place(what, path), getattr(get_script_run_ctx(suppress_warning=True), "session_id", "")
    with place.lock:
        others = place.viewer != viewer and time.monotonic() - place.made < young
        if not (others or (version is not None and version == place.version)):
            place.value = make(place.value)
            place.version, place.viewer, place.made = version, viewer, time.monotonic()
        return place.value


def version_of(run: RunFolder) -> Hashable:
    """Return what changes whenever the run's numbers, images or result do."""
    return _stamp(run.path / METRICS), _stamp(run.path / RESULT)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size
