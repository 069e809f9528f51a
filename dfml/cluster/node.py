"""What a worker of a cluster does: it receives what the work needs, does pieces of it, and tells how far it is."""

from __future__ import annotations

import json
import logging
import os
import pickle
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from dfml.cluster.connecting import program
from dfml.cluster.parcels import is_here, place_of, same_on_disk
from dfml.core.errors import RunFailed
from dfml.core.paths import PLACES, cache_root, filled_folder, inside

ARRIVE_SECONDS = 180.0
"""How long a worker that has just come waits for what its asker sends once to each node."""


Result = TypeVar("Result")


@dataclass(frozen=True)
class Order:
    """What all pieces of one work have in common; it travels with each of them.

    Attributes:
        token: A name of this work alone, under which it also tells how far it is.
        work: Digest of the parcel of the pickled function.
        folders: By their paths at the asker's, digests of the parcels of folders that it reads.
    """

    token: str
    work: str
    folders: Mapping[str, str]


_log = logging.getLogger("distributed.worker")  # what workers print anyway
_at_work: Order | None = None


def is_node() -> bool:
    """Whether this process does a piece of somebody's work on a cluster."""
    return _at_work is not None


def tell(folder: Path, name: str, text: str) -> None:
    """Tell how far a piece of work is: a file in the asker's ``folder``, be it on another node."""
    if _at_work is None:
        (folder / name).write_text(text, encoding="ascii")
        return
    from distributed import get_worker

    get_worker().log_event(_at_work.token, [name, text])


def written(folder: Path, work: Callable[[Path], Result]) -> tuple[Result, dict[str, bytes]]:
    """Let ``work`` write a folder of that name; return its result and, where the asker is elsewhere, the files."""
    if not is_node():
        return work(folder), {}
    with tempfile.TemporaryDirectory() as place:
        below = Path(place) / folder.name
        found = work(below)
        files = [path for path in below.rglob("*") if path.is_file()]
        return found, {path.relative_to(below).as_posix(): path.read_bytes() for path in files}


def keep_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files that came from a node, all of them or none; nothing where there are none."""
    if not files:
        return
    with filled_folder(folder, over=True) as part:
        for name, content in files.items():
            target = inside(part, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def facts(dask_worker: Any = None) -> dict[str, Any]:  # noqa: ANN401 - Dask's, which gives itself
    """What a worker says of itself: its versions, who shares its disk, and which share of a GPU it has."""
    share = dask_worker.state.total_resources.get("GPU", 0.0) if dask_worker else 0.0
    return {**program(), "disk": f"{socket.gethostname()} {cache_root()}", "gpu": share}


def works_for(token: str) -> bool:
    """Whether this process is at a piece of that work right now."""
    return _at_work is not None and _at_work.token == token


def lacks(folders: Mapping[str, str], work: str) -> list[str]:
    """Return the digests of parcels that this machine neither has nor sees on a shared disk."""
    missing = [digest for path, digest in folders.items() if not (is_here(digest) or _shared(path, digest))]
    return missing if is_here(work) else [*missing, work]


@lru_cache(64)
def _shared(path: str, digest: str) -> bool:
    return same_on_disk(path, digest)


@lru_cache(4)
def _opened(digest: str) -> Callable[[Any], Any]:
    # From the asker, who may make this worker do anything: whoever is let into the cluster is trusted.
    return pickle.loads((place_of(digest) / "value").read_bytes())[1]


def do_piece(order: Order, item: Any) -> Any:  # noqa: ANN401 - whatever the work takes and returns
    """Do one piece of work on this node; ``RunFailed``: what it needs has not come."""
    global _at_work
    end = time.monotonic() + ARRIVE_SECONDS
    while lacks(order.folders, order.work):
        if time.monotonic() > end:
            name, long = socket.gethostname(), f"{ARRIVE_SECONDS:.0f} s"
            raise RunFailed(f"what the work needs did not come to {name} within {long}.")
        time.sleep(0.2)
    places = {path: str(place_of(digest)) for path, digest in order.folders.items() if is_here(digest)}
    os.environ[PLACES], _at_work = json.dumps(places), order
    _log.info("a piece of the work %s: %s", order.token, str(item)[:80])
    try:
        return _opened(order.work)(item)
    finally:
        _at_work = None
        del os.environ[PLACES]
