"""Public data sets as class folders, cut into their official splits, and the small samples that ship with the program.

torchvision checks the MD5 sum of each archive, and of each file of CIFAR-100 (whose own format is a pickle), before it
is read; that check is never switched off here. A sample holds some images of novel classes (validation and test), so
that a model can be tested with no network; results on it are always labelled as a sample's.
"""

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from dfml.core.errors import BadInput, RunFailed, nearest
from dfml.core.names import find_name, same
from dfml.core.paths import cache_root, claim_folder, filled_folder, raise_if_disk_full, read_json, write_json
from dfml.data.folders import COLUMNS, ClassSplit, load_split

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
    total, done, images = sum(map(len, splits.values())), 0, 0
    try:
        archives.mkdir(parents=True, exist_ok=True)
        with FileLock(archives / f"{name}.lock"), filled_folder(out) as part:
            for split, class_name, pictures in _READERS[name](archives, splits):
                folder = part / split / class_name
                folder.mkdir(parents=True)
                for number, picture in enumerate(pictures):
                    picture.save(folder / f"{number:05d}.png")
                done, images = done + 1, images + len(pictures)
                if report:
                    report(done, total, class_name)
    except OSError as error:
        raise_if_disk_full(error, out)
        raise RunFailed(f"cannot write {out}: {error}.") from error
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


PERSON_CLASSES = ("baby", "boy", "girl", "man", "woman")
"""Classes of people in CIFAR-100; they are never shipped."""


@dataclass(frozen=True)
class SampleRecipe:
    """What goes into a sample.

    Attributes:
        per_class: Images per class, evenly spaced over the class.
        classes: Split -> number of classes, evenly spaced over the sorted names; None takes all.
        leave_out: Class names that never go in.
        source: Where the images come from.
        terms: Under which terms they may be passed on.
    """

    title: str
    per_class: int
    classes: dict[str, int | None]
    source: str
    terms: str
    leave_out: tuple[str, ...] = ()


RECIPES = {
    "cifar-fs": SampleRecipe(
        title="CIFAR-FS, novel classes (sample)",
        per_class=40,
        classes={"val": None, "test": None},
        leave_out=PERSON_CLASSES,
        source="CIFAR-100 (A. Krizhevsky, Learning multiple layers of features from tiny images, 2009) in the "
        "CIFAR-FS split (L. Bertinetto et al., ICLR 2019); classes that show people are left out",
        terms="No licence stated by the authors of CIFAR-100; a small evaluation sample for research and teaching",
    ),
    "omniglot": SampleRecipe(
        title="Omniglot, novel characters (sample)",
        per_class=20,
        classes={"val": 60, "test": 100},
        source="Omniglot (B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Human-level concept learning through "
        "probabilistic program induction, Science 350, 2015) in the split of O. Vinyals et al., NeurIPS 2016; 28 px",
        terms="MIT licence, see assets/LICENSES/omniglot-MIT.txt",
    ),
}


def _is_sample(folder: Path) -> bool:
    """Whether a folder holds a sample and nothing else: an older one is replaced whole."""
    try:
        splits = read_json(folder / "sample.json", "sample")["splits"]
        return {path.name for path in folder.iterdir()} <= {"sample.json", *splits}
    except (BadInput, LookupError, TypeError):
        return False


def build_sample(recipe: str | SampleRecipe, source: str | Path, out: Path) -> dict[str, Any]:
    """Write a sample; the same images give the same sample, whatever order a disk lists them in.

    ``recipe`` is one or a name in ``RECIPES``, ``source`` a class-folder data set with its splits. An older sample in
    ``out`` is replaced. Returns ``path``, ``classes`` (split -> number), ``images`` and ``bytes``. ``BadInput``:
    unknown name; the data set lacks a split, or classes or images; ``out`` holds something else; ``RunFailed``: the
    disk is full.
    """
    if isinstance(recipe, str) and recipe not in RECIPES:
        raise BadInput(f"unknown sample {recipe!r}.{nearest(recipe, RECIPES)} Known: {', '.join(RECIPES)}.")
    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    claim_folder(out, own=_is_sample, kind="sample")
    with filled_folder(out) as part:
        splits = {
            split: _write_split(load_split(source, split), part, recipe, wanted)
            for split, wanted in recipe.classes.items()
        }
        meta = {"title": recipe.title, "splits": splits, "source": recipe.source, "terms": recipe.terms}
        write_json(part / "sample.json", meta)
        shutil.rmtree(out, ignore_errors=True)
    return {
        "path": str(out),
        "classes": {split: len(entry["classes"]) for split, entry in splits.items()},
        "images": sum(item["count"] for entry in splits.values() for item in entry["classes"]),
        "bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }


def _write_split(data: ClassSplit, out: Path, recipe: SampleRecipe, wanted: int | None) -> dict:
    chosen = [c for c, name in enumerate(data.class_names) if find_name(name, recipe.leave_out) is None]
    if wanted is not None:
        chosen = [chosen[i] for i in _evenly(len(chosen), wanted, f"classes in {data.name}/{data.split}")]
    (out / data.split).mkdir(parents=True)
    entries = []
    for number, position in enumerate(chosen):
        name, members = data.class_names[position], data.members[position]
        rows = members[_evenly(len(members), recipe.per_class, f"images of {name!r}")]
        # Numbers, not names: a class may be called in a way that no file can be.
        file = f"{data.split}/{number:03d}.webp"
        write_sheet(data.images[rows], out / file)
        entries.append({"name": name, "file": file, "count": len(rows)})
    return {"size": data.size, "channels": data.channels, "classes": entries}


def write_sheet(pictures: np.ndarray, path: Path) -> None:
    """Write uint8 images [N, S, S, C] as one contact sheet; see ``read_sheet``."""
    count, size, _, channels = pictures.shape
    rows = -(-count // COLUMNS)
    cells = np.zeros((rows * COLUMNS, size, size, channels), np.uint8)
    cells[:count] = pictures
    sheet = cells.reshape(rows, COLUMNS, size, size, channels).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * size, COLUMNS * size, channels)
    picture = Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet)
    picture.save(path, format="WEBP", lossless=True, quality=80)


def _evenly(available: int, wanted: int, what: str) -> np.ndarray:
    if available < wanted:
        raise BadInput(f"{available} {what}, the sample needs {wanted}.")
    return np.arange(wanted) * available // wanted
