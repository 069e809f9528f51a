"""Public data sets as class folders: downloaded through torchvision, cut into their official splits.

torchvision checks the MD5 sum of each archive, and of each file of CIFAR-100 (whose own format is a pickle), before it
is read; that check is never switched off here.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.core.names import same
from dfml.core.paths import cache_root, claim_folder, raise_if_disk_full, read_json

OMNIGLOT_SIZE = 28
DOWNLOAD_TIMEOUT = 30.0
"""Seconds of silence after which a download is given up."""

ClassPictures = tuple[str, str, list[Image.Image]]
"""Split, class name, images in their official order."""


def split_lists(name: str) -> dict[str, list[str]]:
    """Return the class names of each split of a public data set, as its folders are called."""
    stored = read_json(Path(__file__).parent / "splits" / f"{name}.json", f"split list of {name}")
    stored.pop("origin")
    if name != "omniglot":
        return stored
    return {
        split: [
            f"{alphabet}_character{number:02d}"
            for alphabet, runs in alphabets.items()
            for first, last in runs
            for number in range(first, last + 1)
        ]
        for split, alphabets in stored.items()
    }


def get(
    name: str, out: Path, *, cache: Path | None = None, report: Callable[[int, int, str], None] | None = None
) -> dict[str, Any]:
    """Download a public data set and write ``OUT/{train,val,test}/<class>/00000.png``.

    ``out`` appears only when it is complete. A stopped call is simply made again: finished downloads are kept.

    Args:
        name: ``cifar-fs`` (32 px colour) or ``omniglot`` (28 px grey, bright ink on black).
        out: Must not exist yet, or be empty.
        cache: Where the archives are kept; by default in the user's cache.
        report: Called with (classes done, classes in all, class name).

    Returns:
        ``path``, ``classes`` (split -> number) and ``images``.

    Raises:
        BadInput: Unknown name, or ``out`` holds something.
        RunFailed: No network, a damaged download, or a full disk.
    """
    if name not in _READERS:
        raise BadInput(f"unknown data set {name!r}.{nearest(name, _READERS)} Known: {', '.join(_READERS)}.")
    claim_folder(out)
    archives = cache or cache_root() / "archives"
    splits = split_lists(name)
    total, part = sum(map(len, splits.values())), out.with_name(f".{out.name}.part")
    done = images = 0
    try:
        archives.mkdir(parents=True, exist_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(archives / f"{name}.lock"):
            shutil.rmtree(part, ignore_errors=True)
            for split, class_name, pictures in _READERS[name](archives, splits):
                folder = part / split / class_name
                folder.mkdir(parents=True)
                for number, picture in enumerate(pictures):
                    picture.save(folder / f"{number:05d}.png")
                done, images = done + 1, images + len(pictures)
                if report:
                    report(done, total, class_name)
            part.replace(out)
    except OSError as error:
        raise_if_disk_full(error, out)
        raise RunFailed(f"cannot write {out}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {"path": str(out), "classes": {split: len(names) for split, names in splits.items()}, "images": images}


@contextmanager
def _downloading(name: str, archives: Path, files: str) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    # torchvision opens its connections without a timeout: a dead network would hang for ever.
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        yield
    except (OSError, RuntimeError, EOFError) as error:
        raise_if_disk_full(error, archives)
        reason = getattr(error, "reason", None) or error
        raise RunFailed(
            f"cannot download {name} ({reason}): check the network and run the command again, or put {files} into "
            f"{archives} yourself."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _read_cifar_fs(archives: Path, splits: dict[str, list[str]]) -> Iterator[ClassPictures]:
    from torchvision.datasets import CIFAR100

    with _downloading("CIFAR-100", archives, CIFAR100.filename):
        halves = [CIFAR100(archives, train=train, download=True) for train in (True, False)]
    pixels = np.concatenate([half.data for half in halves])
    labels = np.concatenate([np.asarray(half.targets) for half in halves])
    positions = halves[0].class_to_idx
    for split, names in splits.items():
        for name in names:
            if name not in positions:
                raise RunFailed(f"the downloaded CIFAR-100 has no class {name!r}: it is not the official archive.")
            yield split, name, [Image.fromarray(x) for x in pixels[labels == positions[name]]]


def _read_omniglot(archives: Path, splits: dict[str, list[str]]) -> Iterator[ClassPictures]:
    from torchvision.datasets import Omniglot
    from torchvision.datasets.utils import check_integrity, extract_archive

    folder = archives / Omniglot.folder
    folders: dict[str, Path] = {}
    for background, part in ((True, "images_background"), (False, "images_evaluation")):
        with _downloading("Omniglot", folder, f"{part}.zip"):
            # torchvision unpacks only right after a download: a call that was stopped in between
            # would leave half a folder that it then takes for whole.
            shutil.rmtree(folder / part, ignore_errors=True)
            if check_integrity(folder / f"{part}.zip", Omniglot.zips_md5[part]):
                extract_archive(folder / f"{part}.zip", folder)
            data = Omniglot(archives, background=background, download=True)
        for character in data._characters:
            folders[same(character.replace("/", "_").replace("\\", "_"))] = Path(data.target_folder) / character
    for split, names in splits.items():
        for name in names:
            if same(name) not in folders:
                raise RunFailed(f"the downloaded Omniglot has no character {name!r}: it is not the official archive.")
            yield split, name, [_bright_ink(path) for path in sorted(folders[same(name)].glob("*.png"))]


def _bright_ink(path: Path) -> Image.Image:
    with Image.open(path, formats=["PNG"]) as drawing:
        grey = drawing.convert("L")
    small = grey.resize((OMNIGLOT_SIZE, OMNIGLOT_SIZE), Image.Resampling.BOX)
    return Image.fromarray(255 - np.asarray(small))


_READERS: dict[str, Callable[[Path, dict[str, list[str]]], Iterator[ClassPictures]]] = {
    "cifar-fs": _read_cifar_fs,
    "omniglot": _read_omniglot,
}
