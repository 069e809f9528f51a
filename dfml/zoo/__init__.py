"""Teachers and zoos: load, save, pre-train, and the oracles that question a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfml.zoo.zoo import Zoo


def open_zoo(name_or_path: str | Path) -> Zoo:
    """Open an embedded zoo by name, any zoo by path, or the models of a server by its address (``http://...``).

    ``BadInput``: there is none; the message names the nearest embedded zoo; ``RunFailed``: the server gives no answer.
    """
    from dfml.zoo.listing import zoo_folder
    from dfml.zoo.zoo import Zoo

    text = str(name_or_path)
    if "://" in text:
        from dfml.zoo.remote.remote_zoo import RemoteZoo

        return RemoteZoo(text)
    return Zoo(zoo_folder(text))
