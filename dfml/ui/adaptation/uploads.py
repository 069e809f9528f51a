"""The reader's own images, kept on this computer so that a reload or a second tab loses nothing.

A set lies in ``RUNS/.uploads/TOKEN/{support,query}/<slot>/<image>.png`` with ``names.json`` beside it, and in
``truths.json`` the class of each query image that has one; the token stands in the page's link. Every image is decoded
and stored anew, so nothing is kept that was not really an image.
"""

import re
import secrets
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from dfml.core.errors import BadInput
from dfml.core.names import find_name, same
from dfml.core.paths import read_json, runs_root, write_atomically, write_json
from dfml.data.class_archive import Given as Picture
from dfml.data.class_archive import Handed
from dfml.data.class_folders import base_name
from dfml.data.pictures import SEVERAL_FRAMES, open_picture
from dfml.ui.widgets.uploaders import Given, whole_ones

MAX_SIDE = 512
MAX_PICTURES = 50
"""Images of one class, or of the query set."""
MIN_CLASSES, MAX_CLASSES = 2, 10
MAX_NAME = 40
"""Characters of a class's name."""
QUERY = "query"
_LOCKS = [threading.RLock() for _ in range(61)]
"""For all sets: which one is a set's follows from its token."""
_UNNAMED = re.compile(r"class \d+")
_TOKEN = re.compile(r"[0-9a-f]{12}")


def new_token() -> str:
    """Return a fresh name of a set."""
    return secrets.token_hex(6)


def is_token(text: str | None) -> TypeGuard[str]:
    """Whether a text, from a link, can be a token."""
    return bool(text and _TOKEN.fullmatch(text))


@dataclass(frozen=True)
class UploadSet:
    """One reader's classes and query images; ``slot`` is a class's position, or ``query``."""

    token: str

    @property
    def folder(self) -> Path:
        """Where it lies; made at the first image."""
        if not is_token(self.token):
            raise BadInput(f"{self.token!r} is no set of images.")
        return runs_root() / ".uploads" / self.token

    @property
    def busy(self) -> "threading.RLock":
        """A lock to hold while pictures are stored, and to pass before they are shown.

        A page's script that is drawn anew does not wait for the one before it, which may be storing still.
        """
        return _LOCKS[int(self.token, 16) % len(_LOCKS)]

    def names(self) -> list[str]:
        """Return the names of the classes, in the order of their slots."""
        try:
            found = read_json(self.folder / "names.json", "names of the classes")
        except BadInput:
            found = None
        if not isinstance(found, list) or len(found) < MIN_CLASSES:
            return ["class 1", "class 2"]
        return [str(name)[:MAX_NAME] for name in found[:MAX_CLASSES]]

    def write_names(self, names: list[str]) -> None:
        """Store the names of the classes."""
        write_json(self.folder / "names.json", names)

    def rename(self, position: int, name: str) -> None:
        """Give a class another name; query images of it follow."""
        names = self.names()
        before, names[position] = names[position], name
        self.write_names(names)
        if before in self.truths().values():
            self._write_truths({file: name if label == before else label for file, label in self.truths().items()})

    def pictures(self, slot: int | str) -> list[Path]:
        """Return the stored images of a class's slot, or of ``query``, in the order in which they came."""
        folder = self._slot(slot)
        return sorted(folder.glob("*.png"), key=_order) if folder.is_dir() else []

    def truths(self) -> dict[str, str]:
        """Return the class of each query image, by the file's name, where somebody has told it."""
        try:
            found = read_json(self.folder / "truths.json", "classes of the query images")
        except BadInput:
            return {}
        return {str(file): str(name) for file, name in found.items()} if isinstance(found, dict) else {}

    def tell(self, file: str, label: str) -> None:
        """Note what a query image shows; an empty ``label`` takes it back."""
        told = {**self.truths(), file: label}
        self._write_truths({name: label for name, label in told.items() if label})

    def take(self, slot: int | str, uploads: Sequence[Given], seen: set[str]) -> list[str] | None:
        """Store the uploads that are new; return a line for each that could not be used, None where none was new.

        An uploader reports all its files at each change, and once more when it has left the page. ``seen``, which
        grows, has the ids of those taken before; an image that is chosen again has another id, and is stored again.
        """
        new = [upload for upload in uploads if upload.file_id not in seen]
        if not new:
            return None
        seen.update(upload.file_id for upload in new)
        whole, lines = whole_ones(new)
        return lines + self.add(slot, [(upload.name, upload.getvalue()) for upload in whole])

    def add(self, slot: int | str, files: list[tuple[str, bytes]]) -> list[str]:
        """Store files of a name and a content; return a line for each that could not be used, or not all of it."""
        return self._add(slot, files)[0]

    def _add(self, slot: int | str, files: list[tuple[str, bytes]]) -> tuple[list[str], list[str]]:
        """The same; also return for each file the name under which it is stored, empty where it is not."""
        folder, problems, there, stored = self._slot(slot), [], self.pictures(slot), []
        # After the last one, not the number of them: single ones may have been removed.
        last = re.match(r"(\d+)\d\d-", there[-1].name) if there else None
        first = int(last[1]) + 1 if last else len(there)
        start = count = len(there)
        for name, content in files:
            label = base_name(name)
            stored.append("")
            if count >= MAX_PICTURES:
                problems.append(f"{label}: left out, a class holds at most {MAX_PICTURES} images.")
                continue
            try:
                picture = open_picture(content, name=label)
            except BadInput as error:
                problems.append(str(error))
                continue
            if picture.info[SEVERAL_FRAMES]:
                problems.append(f"{label}: the first of its frames is taken.")
            picture.thumbnail((MAX_SIDE, MAX_SIDE))
            stem = re.sub(r"[^\w.-]+", "_", Path(label).stem)[:40] or "picture"
            path = folder / f"{first:02d}{count - start:02d}-{stem}.png"
            write_atomically(path, lambda part, picture=picture: picture.save(part, format="PNG"))
            count += 1
            stored[-1] = path.name
        return problems, stored

    def add_sorted(self, handed: Handed, *, queries: bool = False) -> list[str]:
        """Store a folder's or a zip's pictures, each in the box of its class, which is made where there is none.

        With ``queries`` all are query images; their folders then tell what they show. Returns lines as ``add``.
        """
        lines, boxes = list(handed.skipped), {}
        for given in handed.pictures:
            boxes.setdefault(QUERY if queries or given.query else _label(given), []).append(given)
        asked = boxes.pop(QUERY, [])
        if loose := boxes.pop("", []):
            lines.append(f"{loose[0].name}: a picture in no folder, so of no class ({len(loose)} of them).")
        for label, pictures in boxes.items():
            slot = self._box(label)
            if slot is None:
                lines.append(f"{label}: left out, there are at most {MAX_CLASSES} classes.")
            else:
                lines += self._add_given(slot, pictures)
        return lines + self._add_given(QUERY, asked)

    def _add_given(self, slot: int | str, pictures: list[Picture]) -> list[str]:
        lines, whole, names = [], [], self.names()
        # No more are read than there is room for: a zip may hold anything.
        room = max(0, MAX_PICTURES - len(self.pictures(slot)))
        for given in pictures[:room]:
            try:
                whole.append((given, given.read()))
            except BadInput as error:
                lines.append(str(error))
        if (left := len(pictures) - room) > 0:
            lines.append(f"{pictures[room].name}: left out with {left - 1} more, a box holds {MAX_PICTURES} images.")
        more, stored = self._add(slot, [(given.name, content) for given, content in whole])
        if slot == QUERY:
            places = [find_name(_label(given), names) for given, _ in whole]
            pairs = zip(stored, places, strict=True)
            told = {file: names[place] for file, place in pairs if file and place is not None}
            self._write_truths({**self.truths(), **told})
        return lines + more

    def _box(self, label: str) -> int | None:
        """Return the slot of a class, else that of a box which nobody has used, else a new one; None: no room."""
        names = self.names()
        place = find_name(label, names)
        if place is not None:
            return place
        unused = [i for i, name in enumerate(names) if _UNNAMED.fullmatch(name) and not self.pictures(i)]
        if not unused and len(names) >= MAX_CLASSES:
            return None
        slot = unused[0] if unused else len(names)
        self.write_names([*names[:slot], label, *names[slot + 1 :]])
        return slot

    def remove(self, slot: int | str, file: str) -> None:
        """Remove one image, by the name of its stored file; of a name that is not there nothing."""
        for path in self.pictures(slot):
            if path.name == file:
                path.unlink(missing_ok=True)
                if slot == QUERY:
                    self.tell(file, "")

    def clear(self, slot: int | str) -> None:
        """Remove the images of a slot."""
        if slot == QUERY:
            self._write_truths({})
        shutil.rmtree(self._slot(slot), ignore_errors=True)

    def drop_class(self, position: int) -> None:
        """Forget a class; the ones after it move up."""
        names = self.names()
        self.clear(position)
        self._write_truths({file: label for file, label in self.truths().items() if label != names[position]})
        for later in range(position + 1, len(names)):
            if self._slot(later).is_dir():
                self._slot(later).rename(self._slot(later - 1))
        self.write_names(names[:position] + names[position + 1 :])

    def forget(self) -> None:
        """Remove the whole set from the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_truths(self, told: dict[str, str]) -> None:
        if told != self.truths():
            write_json(self.folder / "truths.json", told)

    def _slot(self, slot: int | str) -> Path:
        return self.folder / (QUERY if slot == QUERY else f"support/{int(slot)}")


def _label(given: Picture) -> str:
    """Return the class of a picture as a box is called: data sets write blanks as underscores."""
    return same(given.label.replace("_", " ").strip()[:MAX_NAME].strip())


def _order(path: Path) -> tuple[int, str]:
    return len(path.name.partition("-")[0]), path.name
