"""Pictures that somebody hands over in one piece, a folder or a zip of it: which class each one is of.

``.../<class>/<picture>`` is a picture of that class; below a folder ``query`` it is one to be classified. No name is
ever used as a path, and a zip is believed in nothing: not in how many entries it has, nor in how large they are.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.core.texts import printable
from dfml.data.class_folders import QUIET, counted
from dfml.data.pictures import ENDINGS, KINDS, MAX_BYTES

MAX_ENTRIES = 5000
"""Entries of a zip, folders and other files included."""
MAX_TOTAL = 200_000_000
"""Bytes that are unpacked of one zip, at most."""
QUERY_FOLDERS = {"query", "queries"}
_ENTRY = b"PK\x01\x02"
"""How each entry of a zip's list begins."""
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, LookupError, NotImplementedError)
_DAMAGE += (RuntimeError, MemoryError)


class Given(NamedTuple):
    """A picture by its class (empty where no folder tells it), its name, and what reads it; ``query``: to classify."""

    label: str
    name: str
    query: bool
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Handed:
    """Pictures in the order of their paths, and a line for each reason why something was passed over."""

    pictures: list[Given]
    skipped: list[str]


def sort_paths(files: Iterable[tuple[str, Callable[[], bytes]]]) -> Handed:
    """Find class and name of each file by its path, which may have been written on any system."""
    found, other = [], []
    for path, read in files:
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not parts or any(part.startswith(".") or part.lower() in QUIET for part in parts):
            continue
        *folders, name = (same(printable(part)) for part in parts)
        if os.path.splitext(name)[1].lower() not in ENDINGS:
            other.append(name)
            continue
        query = any(folder.lower() in QUERY_FOLDERS for folder in folders)
        label = folders[-1] if folders and folders[-1].lower() not in QUERY_FOLDERS else ""
        found.append(((*folders, name), Given(label, name, query, read)))
    told = [counted(other, f"file{{s}} that {{are}} no image{{s}} ({KINDS} are read)")] if other else []
    return Handed([given for _, given in sorted(found, key=lambda pair: pair[0])], told)


def open_zip(content: bytes, name: str) -> Handed:
    """List a zip's pictures, and check what it claims; each ``read`` raises ``BadInput`` where that was a lie.

    Raises:
        BadInput: It is no zip, damaged, or has too many entries. ``name`` is whose, in messages.
    """
    # Before they are listed: each costs memory, and a small file can claim hundreds of thousands.
    if content.count(_ENTRY) > MAX_ENTRIES:
        raise BadInput(f"{name}: more than {MAX_ENTRIES} entries; zip fewer pictures at a time.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except _DAMAGE:
        raise BadInput(f"{name}: not a zip file, or a damaged one.") from None
    left = [MAX_TOTAL]
    members = [member for member in archive.infolist() if not member.is_dir()]
    large = [member.filename for member in members if member.file_size > MAX_BYTES]
    locked = [member.filename for member in members if member.flag_bits & 1]
    # Others are unpacked without a bound, however small the part that is asked for.
    odd = [member.filename for member in members if member.compress_type not in _PACKED]
    passed = {*large, *locked, *odd}
    files = [(m.filename, _reader(archive, m, left)) for m in members if m.filename not in passed]
    handed = sort_paths(files)
    told = [
        (locked, "file{s} with a password"),
        (odd, "file{s} packed in a rare way"),
        (large, f"file{{s}} of more than {MAX_BYTES // 10**6} MB"),
    ]
    lines = [counted([printable(path) for path in paths], words) for paths, words in told if paths]
    return Handed(handed.pictures, [*handed.skipped, *lines])


def _reader(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: list[int]) -> Callable[[], bytes]:
    def read() -> bytes:
        name, most = printable(member.filename), min(MAX_BYTES, left[0])
        try:
            with archive.open(member) as file:
                content = file.read(most + 1)
        except _DAMAGE:
            raise BadInput(f"{name}: damaged in the zip.") from None
        if len(content) > most:
            raise BadInput(f"{name}: left out, the zip holds more than {MAX_TOTAL // 10**6} MB of pictures.")
        left[0] -= len(content)
        return content

    return read
