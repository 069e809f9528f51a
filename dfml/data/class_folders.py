"""What lies in a folder of class folders, and the support and query images that a user brings in one.

Links are followed: whoever names a folder of their own means what it shows, also where its images are links into a
store beside it, as in caches of downloads. Only regular files are ever opened. Whatever is passed over is told in a
line; of a user's images a bad file costs itself only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.data.pictures import ENDINGS, KINDS, SEVERAL_FRAMES, open_picture, to_tensor

if TYPE_CHECKING:
    import torch

QUIET = {"__macosx", "desktop.ini", "ehthumbs.db", "thumbs.db"}
"""What systems leave in folders, in small letters; these and hidden names are passed over without a word."""
MOVING = "picture{s} of several frames: all but the first"
"""Words for ``counted``."""
NAMED = 2
INNER = {"image", "images", "img", "imgs", "photos", "pictures"}
"""Folders inside a class folder that hold its images, in small letters; another one does where it is the only one."""
QUERIES, SUPPORT = "query folder", "support set"
"""Kinds of a user's folder, as messages name them."""


@dataclass(frozen=True)
class Listing:
    """The images below a folder.

    Attributes:
        classes: The files of each class folder, all in the order of their names, which are as on the disk.
        loose: Images beside the class folders.
        skipped: What was passed over, one line a reason; each reads well after ``skipped`` or ``left out:``.
    """

    classes: dict[str, list[Path]]
    loose: list[Path]
    skipped: list[str]


def subfolders(folder: Path) -> list[str]:
    """Return names of the folders directly in ``folder``, in their order; ``OSError`` where it may not be read."""
    return _look(folder)["folders"]


def list_classes(root: Path, *, queries: bool = False) -> Listing:
    """List ``root/<class>/<image>``, and ``root/<class>/images/<image>``, see ``INNER``.

    For ``queries`` it lists images beside the folders too, and a folder need not hold any.

    ``BadInput``: ``root`` may not be read; a class folder holds files and not one usable image; two class folders have
    one name that is only written in two ways; a class's name is no text.
    """
    try:
        top = _look(root)
    except OSError as error:
        raise BadInput(f"{root} may not be read: {error.strerror}.") from None
    _check_names(root, top["folders"])
    classes, others, odd, nested, locked, empty = {}, [], [], [], [], []
    for name in top["folders"]:
        try:
            inner = _look(root / name)
        except OSError as error:
            locked.append(f"{name} ({error.strerror})")
            continue
        held = [] if inner["pictures"] else _inner(inner["folders"])
        for folder in held:
            try:
                deeper = _look(root / name / folder)
            except OSError as error:
                locked.append(f"{name}/{folder} ({error.strerror})")
                continue
            for kind in ("pictures", "others", "odd"):
                inner[kind] += [f"{folder}/{file}" for file in deeper[kind]]
            nested += [f"{name}/{folder}/{other}" for other in deeper["folders"]]
        unusable = inner["others"] + inner["odd"]
        if inner["pictures"]:
            classes[name] = [root / name / picture for picture in inner["pictures"]]
            nested += [f"{name}/{other}" for other in inner["folders"] if other not in held]
        elif unusable and not queries:
            raise BadInput(
                f"class {name!r} in {root} has no picture that can be read, only {_few(unusable)}: {KINDS} are read. "
                "Convert its files, or take the folder away."
            )
        elif not unusable:
            empty.append(name)
        others += [f"{name}/{other}" for other in inner["others"]]
        odd += [f"{name}/{other}" for other in inner["odd"]]
    skipped = [
        (others, f"file{{s}} that {{are}} no image{{s}} ({KINDS} are read)"),
        (odd + top["odd"], "link{s} to nothing, or no file{s} at all"),
        (nested, "folder{s} inside a class folder"),
        (locked, "folder{s} that may not be read"),
        (empty, "folder{s} without images"),
        ([] if queries else top["pictures"], "image{s} beside the class folders"),
    ]
    told = [counted(names, words) for names, words in skipped if names]
    return Listing(classes, [root / name for name in top["pictures"]], told)


def _inner(folders: list[str]) -> list[str]:
    """Of the folders in a class folder without images of its own those that hold them."""
    return folders if len(folders) == 1 else [name for name in folders if name.lower() in INNER]


def counted(names: list[str], words: str) -> str:
    """Return ``3 files that are ...: a.txt, b.doc and 1 more``; ``{s}`` and ``{are}`` follow the number."""
    one = len(names) == 1
    words = words.replace("{s}", "" if one else "s").replace("{are}", "is" if one else "are")
    return f"{len(names)} {words}: {_few(names)}"


def _few(names: list[str]) -> str:
    shown = ", ".join(name.encode(errors="backslashreplace").decode() for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _look(folder: Path) -> dict[str, list[str]]:
    """Return the names in one folder: its pictures, folders, others (files), and what is odd."""
    found: dict[str, list[str]] = {"pictures": [], "folders": [], "others": [], "odd": []}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower() not in QUIET:
                found[_kind_of(entry)].append(entry.name)
    # A disk that takes names apart (é as two characters) gives the same order as one that does not.
    return {kind: sorted(names, key=lambda name: (same(name), name)) for kind, names in found.items()}


def _kind_of(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folders"
        if entry.is_file():
            return "pictures" if os.path.splitext(entry.name)[1].lower() in ENDINGS else "others"
    except OSError:  # a loop of links, or a link into a folder that may not be read
        pass
    return "odd"


def _check_names(root: Path, names: list[str]) -> None:
    known: dict[str, str] = {}
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise BadInput(f"a class folder in {root} is called {name!r}, which is no text: rename it.") from None
        other = known.setdefault(same(name), name)
        if other != name:
            raise BadInput(
                f"{root} has two class folders called {name!r}, which differ only in how the letters are written "
                f"({ascii(other)} and {ascii(name)}): rename one of them."
            )


MAX_FOLDER_FILES = 2000


@dataclass(frozen=True)
class SupportSet:
    """A user's own classes.

    Attributes:
        pictures: float32 [N, C, size, size] in [0, 1], sorted by class.
        labels: int64 [N], positions in ``class_names``.
        class_names: Of a folder sorted, of a mapping in its order.
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
    """Read ``DIR/<class>/<image>``; of more than ``max_files`` the first, with one line that says so.

    ``BadInput``: the folder is missing or may not be read, a class holds files and no image among them, or fewer than
    two classes have a usable image.
    """
    import torch  # see ``_read_folder``

    good, pictures, problems = _read_folder(folder, SUPPORT, size, channels, max_files)
    class_names = list(dict.fromkeys(name for name, _ in good))
    if len(class_names) < 2:
        why = f" First problem: {problems[0]}" if problems else ""
        raise BadInput(
            f"{folder} has {len(class_names)} class folders with usable images, at least 2 are needed: "
            f"expected DIR/<class>/<image>.{why}"
        )
    labels = torch.tensor([class_names.index(name) for name, _ in good])
    return SupportSet(pictures, labels, class_names, [label for _, label in good], problems)


def read_query_folder(
    folder: Path, *, size: int, channels: int, max_files: int = MAX_FOLDER_FILES
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Read the images of ``DIR/<image>`` and ``DIR/<folder>/<image>``.

    Returns images float32 [n, channels, size, size] in [0, 1], each one's path below the folder, one line per bad file.
    ``BadInput``: the folder is missing or may not be read, or not one image can be used.
    """
    good, pictures, problems = _read_folder(folder, QUERIES, size, channels, max_files)
    if not good:
        why = f" First problem: {problems[0]}" if problems else ""
        raise BadInput(f"{folder} holds no usable {KINDS} image.{why}")
    return pictures, [label for _, label in good], problems


def list_pictures(folder: Path, what: str) -> Listing:
    """List a user's folder, ``SUPPORT`` or ``QUERIES``; ``BadInput``: it is missing, and see ``list_classes``."""
    layout = "DIR/<image>" if what == QUERIES else "DIR/<class>/<image>"
    try:
        if not folder.is_dir():
            raise BadInput(f"no {what} at {folder}: expected a folder {layout}.")
    except OSError as error:
        raise BadInput(f"{folder} may not be read: {error.strerror}.") from None
    return list_classes(folder, queries=what == QUERIES)


def _read_folder(
    folder: Path, what: str, size: int, channels: int, max_files: int
) -> tuple[list[tuple[str, str]], torch.Tensor, list[str]]:
    """Return class and label of each image that can be read, the images, and one line per problem.

    Of queries the images beside the folders come first, under no class.
    """
    import torch  # here, so that pages which only list files do not load it

    listing = list_pictures(folder, what)
    files = [("", path) for path in listing.loose] if what == QUERIES else []
    files += [(name, path) for name, paths in listing.classes.items() for path in paths]
    good, pictures, problems, moving = [], [], [], []
    for name, path in files[:max_files]:
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
    if len(files) > max_files:
        problems.append(f"{len(files)} images found, the first {max_files} are read.")
    shape = (0, channels, size, size)
    return good, torch.stack(pictures) if pictures else torch.empty(shape), problems + listing.skipped
