"""Support and query images that a user brings.

A bad file costs one line and itself only; the good ones are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from dfml.core.errors import BadInput
from dfml.data.listing import MOVING, counted, list_classes
from dfml.data.pictures import KINDS, SEVERAL_FRAMES, open_picture, to_tensor

MAX_FOLDER_FILES = 2000


@dataclass(frozen=True)
class SupportSet:
    """A user's own classes.

    Attributes:
        pictures: float32 [N, C, size, size] in [0, 1], sorted by class.
        labels: int64 [N], positions in ``class_names``.
        class_names: Sorted.
        names: ``class/file`` of each image.
        problems: One line per file that could not be used.
    """

    pictures: torch.Tensor
    labels: torch.Tensor
    class_names: list[str]
    names: list[str]
    problems: list[str]


def base_name(name: str) -> str:
    """Return a file's name as its owner wrote it, without folders and unprintable characters."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:100] or "unnamed"


def read_support_folder(folder: Path, *, size: int, channels: int, max_files: int = MAX_FOLDER_FILES) -> SupportSet:
    """Read ``DIR/<class>/<picture>``; of more than ``max_files`` the first, with one line that says so.

    Links are followed, as in every folder that a user names (see ``listing``). ``BadInput``: the folder is missing or
    may not be read, a class holds files and no image among them, or fewer than two classes have a usable image.
    """
    every, skipped = _listed(folder, "support set", "DIR/<class>/<picture>")
    good, pictures, problems = _read(every[:max_files], len(every), size, channels)
    class_names = list(dict.fromkeys(name for name, _ in good))
    if len(class_names) < 2:
        why = f" First problem: {[*problems, *skipped][0]}" if problems or skipped else ""
        raise BadInput(
            f"{folder} has {len(class_names)} class folders with usable pictures, at least 2 are needed: "
            f"expected DIR/<class>/<picture>.{why}"
        )
    labels = torch.tensor([class_names.index(name) for name, _ in good])
    return SupportSet(pictures, labels, class_names, [label for _, label in good], problems + skipped)


def read_query_folder(
    folder: Path, *, size: int, channels: int, max_files: int = MAX_FOLDER_FILES
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Read the images of ``DIR/<picture>`` and ``DIR/<folder>/<picture>``.

    Returns:
        Images float32 [n, channels, size, size] in [0, 1], each one's path below the folder, one line per bad file.

    Raises:
        BadInput: The folder is missing or may not be read, or not one image can be used.
    """
    every, skipped = _listed(folder, "query folder", "DIR/<picture>", queries=True)
    good, pictures, problems = _read(every[:max_files], len(every), size, channels)
    problems += skipped
    if not good:
        why = f" First problem: {problems[0]}" if problems else ""
        raise BadInput(f"{folder} holds no usable {KINDS} picture.{why}")
    return pictures, [label for _, label in good], problems


def _listed(folder: Path, what: str, layout: str, *, queries: bool = False) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return images with the folder that each lies in, and what was passed over.

    With ``queries`` first those beside the folders, under no name.
    """
    try:
        if not folder.is_dir():
            raise BadInput(f"no {what} at {folder}: expected a folder {layout}.")
    except OSError as error:
        raise BadInput(f"{folder} may not be read: {error.strerror}.") from None
    listing = list_classes(folder, queries=queries)
    every = [("", path) for path in listing.loose] if queries else []
    return every + [(name, path) for name, paths in listing.classes.items() for path in paths], listing.skipped


def _read(
    files: list[tuple[str, Path]], found: int, size: int, channels: int
) -> tuple[list[tuple[str, str]], torch.Tensor, list[str]]:
    """Return class and label of each image that can be read, the images, and one line per problem."""
    good, pictures, problems, moving = [], [], [], []
    for name, path in files:
        label = f"{name}/{path.name}" if name else path.name
        try:
            picture = open_picture(path, name=label)
        except BadInput as error:
            problems.append(str(error))
            continue
        good.append((name, label))
        pictures.append(to_tensor(picture, size=size, channels=channels))
        if picture.info[SEVERAL_FRAMES]:
            moving.append(label)
    if moving:
        problems.append(counted(moving, MOVING))
    if found > len(files):
        problems.append(f"{found} pictures found, the first {len(files)} are read.")
    return good, torch.stack(pictures) if pictures else torch.empty(0, channels, size, size), problems
