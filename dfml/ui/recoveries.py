"""Stored recoveries, read without torch: ``RUN/recovered/<teacher>/{report.json, pictures.safetensors}``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import read_json
from dfml.ui.galleries import from_arrays
from dfml.ui.run_store import RunRow


@dataclass(frozen=True)
class StoredRecovery:
    """One teacher's recovered pictures.

    Attributes:
        run: The run's folder name.
        run_title: What people call the run.
        teacher: The teacher's id.
        folder: Where it lies.
        report: Measures and settings.
    """

    run: str
    run_title: str
    teacher: str
    folder: Path
    report: dict[str, Any]

    @property
    def method(self) -> str:
        """The inverter's name."""
        return str(self.report.get("method", "unknown inverter"))

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels; ``class 0`` and so on where there are none."""
        names = self.report.get("classes")
        count = max(1, int(self.report.get("images", 0)) // max(1, int(self.report.get("per_class", 1))))
        return [str(name).replace("_", " ") for name in names] if names else [f"class {i}" for i in range(count)]

    def pictures(self) -> dict[str, list[Image.Image]]:
        """Pictures by class name.

        Raises:
            BadInput: The file is missing or damaged.
        """
        file = self.folder / "pictures.safetensors"
        if not file.is_file():
            raise BadInput(f"the pictures of teacher {self.teacher} are missing in {self.folder}.")
        return _pictures(str(file), file.stat().st_mtime_ns, tuple(self.classes))


@st.cache_data(show_spinner=False, max_entries=64)
def _pictures(file: str, changed: int, classes: tuple[str, ...]) -> dict[str, list[Image.Image]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
        images, labels = from_arrays(tensors["images"]), tensors["labels"].tolist()
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BadInput(f"{file} is damaged: {error}.") from None
    return by_class(images, labels, classes)


def by_class(
    images: list[Image.Image], labels: list[int], classes: tuple[str, ...] | list[str]
) -> dict[str, list[Image.Image]]:
    """Sort pictures into rows by class name, in the order of the labels."""
    rows: dict[str, list[Image.Image]] = {}
    for picture, label in sorted(zip(images, labels, strict=False), key=lambda pair: pair[1]):
        name = classes[label] if 0 <= label < len(classes) else f"class {label}"
        rows.setdefault(name, []).append(picture)
    return rows


def recoveries_of(path: Path, name: str, title: str) -> list[StoredRecovery]:
    """The recoveries in a run's folder; a damaged one is left out."""
    root = path / "recovered"
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            report = read_json(folder / "report.json", f"recovery {folder.name}")
        except BadInput:
            continue
        if isinstance(report, dict):
            found.append(StoredRecovery(name, title, str(report.get("teacher", folder.name)), folder, report))
    return found


def all_recoveries(rows: list[RunRow]) -> list[StoredRecovery]:
    """The stored recoveries of all runs, the newest run first."""
    return [found for row in rows for found in recoveries_of(row.path, row.name, row.title)]
