"""The reader's own images, kept on this computer so that a reload or a second tab loses nothing.

A set lies in ``RUNS/.uploads/TOKEN/{support,query}/<slot>/<image>.png`` with ``names.json`` beside it; the token
stands in the page's link. Every image is decoded and stored anew, so nothing is kept that was not really an image.
"""

import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard, cast

from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile

from dfml.core.errors import BadInput
from dfml.core.paths import read_json, runs_root, write_atomically, write_json
from dfml.data.pictures import SEVERAL_FRAMES, open_picture

MAX_SIDE = 512
MAX_PICTURES = 50
"""Images of one class, or of the query set."""
MIN_CLASSES, MAX_CLASSES = 2, 10
QUERY = "query"
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

    def names(self) -> list[str]:
        """Return the names of the classes, in the order of their slots."""
        try:
            found = read_json(self.folder / "names.json", "names of the classes")
        except BadInput:
            found = None
        if not isinstance(found, list) or len(found) < MIN_CLASSES:
            return ["class 1", "class 2"]
        return [str(name)[:40] for name in found[:MAX_CLASSES]]

    def write_names(self, names: list[str]) -> None:
        """Store the names of the classes."""
        write_json(self.folder / "names.json", names)

    def pictures(self, slot: int | str) -> list[Path]:
        """Return the stored images of a class's slot, or of ``query``."""
        folder = self._slot(slot)
        return sorted(folder.glob("*.png")) if folder.is_dir() else []

    def take(self, slot: int | str, uploads: Sequence[UploadedFile | DeletedFile], seen: set[str]) -> list[str] | None:
        """Store the uploads that are new; return a line for each that could not be used, None where none was new.

        An uploader reports all its files at each change, and once more when it has left the page. ``seen``, which
        grows, has the ids of those taken before; an image that is chosen again has another id, and is stored again.
        """
        new = [upload for upload in uploads if upload.file_id not in seen]
        if not new:
            return None
        seen.update(upload.file_id for upload in new)
        whole = [cast(UploadedFile, upload) for upload in new if hasattr(upload, "getvalue")]
        lost = ["A file was lost on its way to the server: choose it again."] * (len(new) - len(whole))
        return lost + self.add(slot, [(upload.name, upload.getvalue()) for upload in whole])

    def add(self, slot: int | str, files: list[tuple[str, bytes]]) -> list[str]:
        """Store files of a name and a content; return a line for each that could not be used, or not all of it."""
        from dfml.data.class_folders import base_name

        folder, problems = self._slot(slot), []
        first = count = len(self.pictures(slot))
        for name, content in files:
            label = base_name(name)
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
            path = folder / f"{first:02d}{count - first:02d}-{stem}.png"
            write_atomically(path, lambda part, picture=picture: picture.save(part, format="PNG"))
            count += 1
        return problems

    def clear(self, slot: int | str) -> None:
        """Remove the images of a slot."""
        shutil.rmtree(self._slot(slot), ignore_errors=True)

    def drop_class(self, position: int) -> None:
        """Forget a class; the ones after it move up."""
        names = self.names()
        self.clear(position)
        for later in range(position + 1, len(names)):
            if self._slot(later).is_dir():
                self._slot(later).rename(self._slot(later - 1))
        self.write_names(names[:position] + names[position + 1 :])

    def forget(self) -> None:
        """Remove the whole set from the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _slot(self, slot: int | str) -> Path:
        return self.folder / (QUERY if slot == QUERY else f"support/{int(slot)}")
