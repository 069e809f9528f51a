"""Support and query pictures that a user brings: uploads in the app, folders on the command line.

A bad file costs one line and itself only; the good ones are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dfml.core.errors import BadInput
from dfml.data.listing import MOVING, counted, list_classes
from dfml.data.pictures import KINDS, SEVERAL_FRAMES, open_picture, to_tensor

MAX_FILES = 100
MAX_FOLDER_FILES = 2000


@dataclass(frozen=True)
class SupportSet:
    """A user's own classes.

    Attributes:
        pictures: float32 [N, C, size, size] in [0, 1], sorted by class.
        labels: int64 [N], positions in ``class_names``.
        class_names: Sorted.
        names: ``class/file`` of each picture.
        problems: One line a file that could not be used.
    """

    pictures: torch.Tensor
    labels: torch.Tensor
    class_names: list[str]
    names: list[str]
    problems: list[str]


def base_name(name: str) -> str:
    """A file's name as its owner wrote it, without folders and unprintable characters."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:100] or "unnamed"


def read_uploads(
    files: list[tuple[str, bytes]], *, size: int, channels: int, max_files: int = MAX_FILES
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Read uploaded pictures.

    Args:
        files: Name and content of each.
        size: Height and width to bring them to, in pixels.
        channels: 1 or 3.
        max_files: Files after these are left out, with one line that says so.

    Returns:
        Pictures float32 [n, channels, size, size] in [0, 1], the name of each, and one line a bad file.
    """
    named = [(base_name(name), content) for name, content in files[:max_files]]
    good, problems = _read_all(named, size, channels)
    if len(files) > max_files:
        problems.append(f"{len(files)} files given, the first {max_files} are read; {len(files) - max_files} left out.")
    return _stacked([x for _, x in good], size, channels), [named[i][0] for i, _ in good], problems


def read_support_folder(folder: Path, *, size: int, channels: int, max_files: int = MAX_FOLDER_FILES) -> SupportSet:
    """Read ``DIR/<class>/<picture>``.

    Links are followed, as in every folder that a user names (see ``listing``).

    Args:
        folder: Holds a folder a class.
        size: Height and width to bring the pictures to, in pixels.
        channels: 1 or 3.
        max_files: Pictures after these are left out, with one line that says so.

    Raises:
        BadInput: The folder is missing or may not be read, a class holds files and no picture among them, or fewer
            than two classes have a usable picture.
    """
    every, skipped = _listed(folder, "support set", "DIR/<class>/<picture>")
    good, problems = _read_files(every, skipped, size, channels, max_files)
    class_names = list(dict.fromkeys(name for name, _, _ in good))
    if len(class_names) < 2:
        why = f" First problem: {problems[0]}" if problems else ""
        raise BadInput(
            f"{folder} has {len(class_names)} class folders with usable pictures, at least 2 are needed: "
            f"expected DIR/<class>/<picture>.{why}"
        )
    labels = torch.tensor([class_names.index(name) for name, _, _ in good])
    names = [f"{name}/{path.name}" for name, path, _ in good]
    return SupportSet(_stacked([x for _, _, x in good], size, channels), labels, class_names, names, problems)


def read_query_folder(
    folder: Path, *, size: int, channels: int, max_files: int = MAX_FOLDER_FILES
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Read the pictures of ``DIR/<picture>`` and ``DIR/<folder>/<picture>``.

    Returns:
        Pictures float32 [n, channels, size, size] in [0, 1], each one's path below the folder, one line a bad file.

    Raises:
        BadInput: The folder is missing or may not be read, or not one picture can be used.
    """
    every, skipped = _listed(folder, "query folder", "DIR/<picture>", queries=True)
    good, problems = _read_files(every, skipped, size, channels, max_files)
    if not good:
        why = f" First problem: {problems[0]}" if problems else ""
        raise BadInput(f"{folder} holds no usable {KINDS} picture.{why}")
    names = [f"{name}/{path.name}" if name else path.name for name, path, _ in good]
    return _stacked([x for _, _, x in good], size, channels), names, problems


def _listed(folder: Path, what: str, layout: str, *, queries: bool = False) -> tuple[list[tuple[str, Path]], list[str]]:
    """Pictures with the folder that each lies in, and what was passed over.

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


def _read_files(
    every: list[tuple[str, Path]], skipped: list[str], size: int, channels: int, max_files: int
) -> tuple[list[tuple[str, Path, torch.Tensor]], list[str]]:
    named = [(f"{name}/{path.name}" if name else path.name, path) for name, path in every[:max_files]]
    good, problems = _read_all(named, size, channels)
    if len(every) > max_files:
        problems.append(f"{len(every)} pictures found, the first {max_files} are read.")
    return [(*every[i], x) for i, x in good], problems + skipped


def _read_all(
    files: Sequence[tuple[str, Path | bytes]], size: int, channels: int
) -> tuple[list[tuple[int, torch.Tensor]], list[str]]:
    """Each readable file's position and picture, and one line a problem."""
    good, problems, moving = [], [], []
    for position, (label, source) in enumerate(files):
        try:
            picture = open_picture(source, name=label)
        except BadInput as error:
            problems.append(str(error))
            continue
        good.append((position, to_tensor(picture, size=size, channels=channels)))
        if picture.info[SEVERAL_FRAMES]:
            moving.append(label)
    return good, problems + ([counted(moving, MOVING)] if moving else [])


def _stacked(pictures: list[torch.Tensor], size: int, channels: int) -> torch.Tensor:
    return torch.stack(pictures) if pictures else torch.empty(0, channels, size, size)
