"""Folders and values on their way to a node, named by a digest of what is in them; a node keeps each one once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import cache_root, inside

PIECE = 8 * 2**20
"""Bytes of a message, about: a file that is larger goes alone."""


@dataclass(frozen=True)
class Parcel:
    """Files by their names within a folder, names with slashes; ``digest`` tells it from every other.

    Attributes:
        sums: The SHA-256 of each file.
    """

    files: Mapping[str, Path | bytes]
    sums: Mapping[str, str]
    digest: str

    def pieces(self) -> Iterator[dict[str, bytes]]:
        """The files' bytes in parts that a message can hold."""
        part: dict[str, bytes] = {}
        size = 0
        for name, content in self.files.items():
            try:
                part[name] = content if isinstance(content, bytes) else content.read_bytes()
            except OSError as error:
                raise BadInput(f"cannot read {content}: {error.strerror}.") from None
            size += len(part[name])
            if size >= PIECE:
                yield part
                part, size = {}, 0
        yield part


def pack_folder(folder: Path) -> Parcel:
    """Return what a folder holds now; names that begin with a dot are left out. ``BadInput``: it cannot be read."""
    files: dict[str, Path | bytes] = {}
    for place, folders, names in os.walk(folder, followlinks=True):
        above = [Path(place).resolve(), *Path(place).resolve().parents]
        wanted = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in wanted if (Path(place) / name).resolve() not in above]  # no loops of links
        for name in sorted(names):
            if not name.startswith("."):
                files[(Path(place) / name).relative_to(folder).as_posix()] = Path(place) / name
    if not files:
        raise BadInput(f"{folder} holds no files that could be sent to a cluster.")
    return _parcel(files)


def pack_value(content: bytes) -> Parcel:
    """Return a parcel of one file called ``value``."""
    return _parcel({"value": content})


def _parcel(files: dict[str, Path | bytes]) -> Parcel:
    sums = {name: _sum(content) for name, content in files.items()}
    told = "\n".join(f"{each} {name}" for name, each in sorted(sums.items()))
    return Parcel(files, sums, hashlib.sha256(told.encode()).hexdigest())


def _sum(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"cannot read {content}: {error.strerror}.") from None


def place_of(digest: str) -> Path:
    """Return where this machine keeps a parcel."""
    return cache_root() / "cluster" / digest


def is_here(digest: str) -> bool:
    """Whether this machine has a parcel, whole."""
    return place_of(digest).is_dir()


def same_on_disk(path: str, digest: str) -> bool:
    """Whether this machine sees the very folder at that path, as one on a shared disk."""
    try:
        return Path(path).is_dir() and pack_folder(Path(path)).digest == digest
    except BadInput:
        return False


def receive(digest: str, part: dict[str, bytes], sums: dict[str, str]) -> None:
    """Keep some files of a parcel; with the last of them it is whole. Called on a node.

    ``RunFailed``: a file is not what it was, or the disk is full.
    """
    place = place_of(digest)
    unfinished = place.with_name(f".{digest}")
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f".{digest}.lock")):
            if place.is_dir():
                return
            for name, content in part.items():
                if _sum(content) != sums[name]:
                    raise RunFailed(f"{name} was damaged on its way to this node.")
                target = inside(unfinished, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=unfinished, prefix=".part-", delete=False) as file:
                    file.write(content)
                os.replace(file.name, target)
            if all((unfinished / name).is_file() for name in sums):
                os.replace(unfinished, place)
    except OSError as error:
        raise RunFailed(f"a node cannot keep what it was sent below {place.parent}: {error.strerror}.") from None


def drop(digest: str) -> None:
    """Forget a parcel. Called on a node."""
    shutil.rmtree(place_of(digest), ignore_errors=True)
