"""Files of work that was done before, each named by a digest of the facts that it follows from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.paths import cache_root
from dfml.nets.checkpoint import load_checkpoint, save_checkpoint


def kept_path(room: str, name: str, facts: Any) -> Path:  # noqa: ANN401 - JSON values
    """The file of a piece of work below ``cache_root()``; ``name`` begins its own name."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return cache_root() / room / f"{name}{digest}.safetensors"


def read_kept(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """State and facts about it as ``write_kept`` got them; None where there is nothing, or it is damaged."""
    try:
        return load_checkpoint(path) if path.is_file() else None
    except BadInput:
        return None  # it is only a cache


def write_kept(path: Path, state: dict[str, Any], about: dict[str, Any]) -> None:
    """Keep a piece of work; see ``save_checkpoint``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, state, about)
