"""The files of the lessons: what ``bench lessons`` has measured, and pictures of the embedded sample that it names."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, read_json
from dfml.core.remedies import PROGRAM
from dfml.data.folders import load_split
from dfml.ui.guide.stage import data_url

LESSONS_AT = ASSETS / "lessons"
Facts = dict[str, Any]
"""Of one lesson, as its JSON file says."""


def facts_of(name: str) -> Facts:
    """Return what was measured for a lesson; ``BadInput`` where its file is missing or damaged."""
    path = LESSONS_AT / f"{name}.json"
    try:
        return _read(path, path.stat().st_mtime)
    except OSError:
        raise BadInput(f"the lesson {name!r} has no file: `{PROGRAM} bench lessons --only {name}` makes it.") from None


@lru_cache(maxsize=32)
def _read(path: Path, changed: float) -> Facts:
    del changed
    found = read_json(path, f"lesson {path.stem}")
    if not isinstance(found, dict):
        raise BadInput(f"the file of lesson {path.stem!r} is damaged.")
    return found


def sheet(lesson: str, which: str) -> str:
    """Return a lesson's sheet of recovered pictures as an address that the browser takes."""
    path = LESSONS_AT / f"{lesson}-{which}.webp"
    try:
        return data_url(path, path.stat().st_mtime)
    except OSError:
        raise BadInput(f"the lesson {lesson!r} lacks the pictures {path.name}.") from None


def sample_sheet(split: str, positions: Sequence[int]) -> str:
    """Return pictures of the embedded sample of CIFAR-FS side by side, as an address that the browser takes."""
    return _sampled(split, tuple(positions))


@lru_cache(maxsize=32)
def _sampled(split: str, positions: tuple[int, ...]) -> str:
    data = load_split("sample:cifar-fs", split, size=32, channels=3)
    row = np.concatenate([np.asarray(data.images[position]) for position in positions], axis=1)
    kept = io.BytesIO()
    Image.fromarray(row).save(kept, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(kept.getvalue()).decode()


def unpacked(text: str, kind: str = "float16") -> np.ndarray:
    """Return the numbers that ``bench lessons`` has written as base64; ``kind`` is numpy's name of their type."""
    return np.frombuffer(base64.b64decode(text), dtype=kind)
