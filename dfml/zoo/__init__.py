"""Teachers and zoos: load, save, pre-train, and the oracles that question a teacher.

Imports stand inside the functions, so that cards can be read without torch.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfml.zoo.teacher import Teacher
    from dfml.zoo.zoo import Zoo


def open_zoo(name_or_path: str | Path) -> Zoo:
    """Open an embedded zoo by name, any zoo by path, or the models of a server by its address (``http://...``).

    Raises:
        BadInput: There is none; the message names the nearest embedded zoo.
        RunFailed: The server gives no answer.
    """
    from dfml.zoo.listing import zoo_folder
    from dfml.zoo.remote.remote_zoo import RemoteZoo
    from dfml.zoo.zoo import Zoo

    text = str(name_or_path)
    return RemoteZoo(text) if "://" in text else Zoo(zoo_folder(text))


@lru_cache(maxsize=1)
def probe() -> Teacher:
    """The probe: a small network shipped in the assets, for task embeddings only.

    It is side information (it was trained on real classes); every result that used it says so.
    """
    from dfml.core.paths import ASSETS
    from dfml.zoo.teacher import load_teacher

    return load_teacher(ASSETS / "probe")
