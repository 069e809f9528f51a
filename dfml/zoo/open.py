"""Opening a zoo, wherever it lies, and the embedded probe."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dfml.core.paths import ASSETS
from dfml.zoo.listing import zoo_folder
from dfml.zoo.remote.remote_zoo import RemoteZoo
from dfml.zoo.teacher import Teacher, load_teacher
from dfml.zoo.zoo import Zoo


def open_zoo(name_or_path: str | Path) -> Zoo:
    """Open an embedded zoo by name, any zoo by path, or the models of a server by its address (``http://...``).

    Raises:
        BadInput: There is none; the message names the nearest embedded zoo.
        RunFailed: The server gives no answer.
    """
    text = str(name_or_path)
    return RemoteZoo(text) if "://" in text else Zoo(zoo_folder(text))


@lru_cache(maxsize=1)
def probe() -> Teacher:
    """The probe: a small network shipped in the assets, for task embeddings only.

    It is side information (it was trained on real classes); every result that used it says so.
    """
    return load_teacher(ASSETS / "probe")
