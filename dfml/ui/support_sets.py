"""The example support sets of the assets: ``assets/support-sets/<set>/{support,query}/<class>/*.webp``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, read_json
from dfml.data.listing import list_classes


@dataclass(frozen=True)
class ExampleSet:
    """An example set.

    Attributes:
        name: Its folder's name.
        title: For people.
        note: What it shows, and where its pictures come from.
        support: Class name and files, in the order of names.
        query: The same for the pictures to classify.
    """

    name: str
    title: str
    note: str
    support: dict[str, list[Path]]
    query: dict[str, list[Path]]


def example_names() -> list[str]:
    """Names of the example sets."""
    root = ASSETS / "support-sets"
    return sorted(p.name for p in root.iterdir() if (p / "support").is_dir()) if root.is_dir() else []


def read_example(name: str) -> ExampleSet:
    """Read one example set.

    Raises:
        BadInput: There is none of that name, or fewer than two classes have pictures.
    """
    if name not in example_names():
        raise BadInput(f"no example set {name!r}; there are: {', '.join(example_names()) or 'none'}.")
    folder = ASSETS / "support-sets" / name
    about = read_json(folder / "set.json", f"set {name}") if (folder / "set.json").is_file() else {}
    support = _classes(folder / "support")
    if len(support) < 2:
        raise BadInput(f"example set {name!r} has {len(support)} classes with pictures, at least 2 are needed.")
    note = " ".join(str(about[key]) for key in ("description", "credit") if about.get(key))
    return ExampleSet(
        name, str(about.get("title") or name.replace("-", " ")), note, support, _classes(folder / "query")
    )


def _classes(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        return {}
    return {name.replace("_", " "): files for name, files in list_classes(folder).classes.items()}
