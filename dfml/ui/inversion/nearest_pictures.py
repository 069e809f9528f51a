"""Which other recovered image, and which real one, is nearest to a recovered one."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import streamlit as st
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.names import find_name
from dfml.core.paths import read_json
from dfml.data.class_folders import list_classes
from dfml.data.pictures import fit_picture, open_picture
from dfml.data.splits import split_class, split_folder
from dfml.reports.neighbours import Neighbour, nearest_picture
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.texts import spaced
from dfml.zoo.listing import TeacherRow, ZooListing

MOST_COMPARED = 60
"""Recoveries, the newest first, that are looked through."""
MOST_BYTES = 500_000_000
"""Of real images that a page holds."""


class NearRecovered(NamedTuple):
    """An image of a recovery, its place there, and its distance, 0 .. 1."""

    recovery: StoredRecovery
    position: int
    image: Image.Image
    name: str
    distance: float


class NearReal(NamedTuple):
    """A real image, its class, whether the teacher was trained on it, and its distance, 0 .. 1."""

    image: Image.Image
    name: str
    trained: bool
    distance: float


class Looked(NamedTuple):
    """The nearest image of the same recovery, that of any other, and among how many others it was looked for."""

    own: NearRecovered | None
    other: NearRecovered | None
    recoveries: int
    pictures: int


def nearest_recovered(recovery: StoredRecovery, position: int, others: Sequence[StoredRecovery]) -> Looked:
    """Look for the nearest recovered images; a recovery that cannot be read is passed over.

    Those of another size are brought to that of the image. ``BadInput``: the recovery itself cannot be read.
    """
    images, _ = recovery.every()
    asked = images[position]
    size, channels = max(asked.size), 1 if asked.mode == "L" else 3
    picture = fit_picture(asked, size=size, channels=channels)
    own = _found(recovery, nearest_picture(picture, _array(recovery, size, channels), passed_over=position))
    best, recoveries, pictures = None, 0, 0
    for other in others[:MOST_COMPARED]:
        if other.folder == recovery.folder:
            continue
        try:
            store = _array(other, size, channels)
        except BadInput:
            continue
        recoveries, pictures = recoveries + 1, pictures + len(store)
        found = nearest_picture(picture, store)
        if found and (best is None or found.distance < best[1].distance):
            best = other, found
    return Looked(own, _found(*best) if best else None, recoveries, pictures)


def _found(recovery: StoredRecovery, near: Neighbour | None) -> NearRecovered | None:
    if near is None:
        return None
    images, labels = recovery.every()
    label, names = labels[near.position], recovery.classes
    name = names[label] if 0 <= label < len(names) else f"class {label}"
    return NearRecovered(recovery, near.position, images[near.position], name, near.distance)


def _array(recovery: StoredRecovery, size: int, channels: int) -> np.ndarray:
    """A recovery's images, uint8 [N, size, size, channels]."""
    file = recovery.folder / "pictures.safetensors"
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    return _kept_array(recovery, str(recovery.folder), changed, size, channels)


@st.cache_resource(show_spinner=False, max_entries=2 * MOST_COMPARED)
def _kept_array(_recovery: StoredRecovery, folder: str, changed: int, size: int, channels: int) -> np.ndarray:
    images, _ = _recovery.every()
    return np.stack([fit_picture(image, size=size, channels=channels) for image in images])


def nearest_real(image: Image.Image, folder: str, zoo: ZooListing, teacher: TeacherRow) -> list[NearReal]:
    """Return the nearest image that the teacher was trained on, and the nearest of those held out, of its classes.

    ``folder`` is the class-folder data set whose ``train`` split it was trained on, as ``check_real_pictures`` wants
    it. ``BadInput``: its images cannot be read, or are too many for a page.
    """
    channels, height, width = teacher.input_size
    size = max(height, width)
    picture = fit_picture(image, size=size, channels=channels)
    found = []
    for trained, part in zip((True, False), _real(folder, str(zoo.folder), teacher.id, size, channels), strict=True):
        if near := nearest_picture(picture, part.images):
            cell = part.images[near.position]
            shown = Image.fromarray(cell.squeeze(-1) if channels == 1 else cell)
            found.append(NearReal(shown, part.names[near.position], trained, near.distance))
    return found


class _Part(NamedTuple):
    """Images, uint8 [N, size, size, channels], with the name of each one's class."""

    images: np.ndarray
    names: list[str]


@st.cache_resource(show_spinner=False, max_entries=4)
def _real(folder: str, zoo: str, teacher: str, size: int, channels: int) -> tuple[_Part, _Part]:
    """The images of a teacher's classes, those that it was trained on and those held out, cut as for its training."""
    card = read_json(Path(zoo) / teacher / "dfml.json", "card")
    listing = list_classes(split_folder(Path(folder), "train")).classes
    there = list(listing)
    places = dict.fromkeys(find_name(name, there) for name in card["classes"])
    files = {there[place]: listing[there[place]] for place in places if place is not None}
    if sum(map(len, files.values())) * size * size * channels > MOST_BYTES:
        raise BadInput(f"the real images of teacher {teacher} take over {MOST_BYTES // 10**6} MB: too many for a page.")
    images: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    owners: tuple[list[str], list[str]] = [], []
    for name, paths in files.items():
        parts = split_class(np.arange(len(paths)), card["pretraining"]["held_out"])
        for kept, own, positions in zip(images, owners, parts, strict=True):
            kept += [fit_picture(open_picture(paths[i]), size=size, channels=channels) for i in positions.tolist()]
            own += [spaced(name)] * len(positions)
    empty = np.zeros((0, size, size, channels), np.uint8)
    first, last = (_Part(np.stack(x) if x else empty, own) for x, own in zip(images, owners, strict=True))
    return first, last
