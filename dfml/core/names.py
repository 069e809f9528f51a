"""When two names are the same, and in which order people expect them."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def same(name: str) -> str:
    """Return the form in which names are compared (NFC): one disk keeps ``é`` as one character, another as two."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def find_name(name: str, names: Sequence[str]) -> int | None:
    """Return where a name stands among others, however both are written; None where it does not."""
    forms = [same(other) for other in names]
    return forms.index(same(name)) if same(name) in forms else None


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts ``2`` before ``10``, and ``page 9`` before ``page 10``."""
    parts = re.split(r"([0-9]{1,18})", same(name).casefold())
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part], name


def on_disk(folder: Path, name: str) -> str:
    """Return the name under which a disk keeps ``name`` directly in ``folder``; ``name`` itself where it keeps none."""
    try:
        if name.isascii() or (folder / name).exists():
            return name
        return next((entry.name for entry in folder.iterdir() if same(entry.name) == same(name)), name)
    except (OSError, ValueError):  # not to be read, or no name of a file
        return name
