"""Files of models that came by upload: written to the disk piece by piece, and dropped from the server's memory.

They lie in ``RUNS/.uploads/weights-*`` until the session ends or they are in a zoo. Nothing here opens them.
"""

import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streamlit.runtime.uploaded_file_manager import UploadedFile

from dfml.core.errors import DfmlError
from dfml.core.model_config import CONFIG, LARGEST_CARD
from dfml.core.paths import raise_if_disk_full, runs_root
from dfml.data.class_folders import base_name
from dfml.ui.widgets.uploaders import Given, forget, whole_ones
from dfml.zoo.importing.drafts import PICKLED_FOLDER
from dfml.zoo.importing.reader import PICKLES
from dfml.zoo.listing import DETAILS, WEIGHTS

MEGABYTES, MOST_FILES, MOST_BYTES = 500, 20, 2**31
"""Of one file; of a session's files together."""
KINDS = (".safetensors", ".onnx", *PICKLES)
CARDS = (CONFIG, DETAILS)
NAMES = (".txt", ".json")
"""Of lists of class names."""
FORGOTTEN_SECONDS = 24 * 3600
"""After which files are removed that a server which was killed has left."""


class ModelFiles:
    """The files of one session; ``folder`` is removed with this object."""

    def __init__(self) -> None:
        root = runs_root() / ".uploads"
        root.mkdir(parents=True, exist_ok=True)
        for old in root.glob("weights-*"):
            with suppress(FileNotFoundError):  # another session's ended just now
                if time.time() - old.stat().st_mtime > FORGOTTEN_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix="weights-", dir=root))
        weakref.finalize(self, shutil.rmtree, self.folder, True)

    def paths(self) -> list[Path]:
        """All files, in the order of their names."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def take(self, given: Sequence[Given], seen: set[str]) -> list[str]:
        """Write the uploads that are new and forget them; return a line for each that is not taken.

        ``seen``, which grows, has the ids of those that were taken before: an uploader reports them again.
        """
        new = [one for one in given if one.file_id not in seen]
        seen.update(one.file_id for one in new)
        whole, lines = whole_ones(new)
        for upload in whole:
            try:
                lines += self._take(upload)
            except (OSError, DfmlError) as error:
                lines.append(f"{base_name(upload.name)} could not be stored: {error}")
            finally:
                forget(upload)
        return lines

    def _take(self, upload: UploadedFile) -> list[str]:
        name = re.sub(r"[^\w.+-]+", "_", base_name(upload.name)).lstrip("._")[-120:]
        stem, suffix, there = Path(name).stem, Path(name).suffix.lower(), self.paths()
        name = stem + suffix
        room = MOST_BYTES - sum(path.stat().st_size for path in there if path.name != name)
        if suffix not in (*KINDS, *NAMES) or not stem:
            kinds = ", ".join((*KINDS, *NAMES))
            return [f"{base_name(upload.name)}: expected a file {kinds}."]
        if suffix in NAMES and upload.size > LARGEST_CARD:
            return [f"{name} is larger than {LARGEST_CARD:,} bytes: it is no config and no list of names."]
        if upload.size > room or len(there) >= MOST_FILES:
            return [f"{name}: left out, at most {MOST_FILES} files of {MOST_BYTES // 2**30} GB together are held."]
        target, part = self.folder / name, self.folder / "part"
        before = target in there
        try:
            upload.seek(0)
            with part.open("wb") as file:
                shutil.copyfileobj(upload, file, 2**20)
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise_if_disk_full(error, target)
            raise
        # Weights of two model folders have one name: who brings both must not lose one unseen.
        return [f"{name} replaces the file of that name: add one first, or give it another name."] if before else []

    def remove(self, name: str) -> None:
        """Remove one file, by its name; of a name that is not there nothing."""
        for path in self.paths():
            if path.name == name:
                path.unlink(missing_ok=True)

    def sources(self) -> list[str]:
        """What can be imported: each file of weights, or the folder that one makes with its ``config.json``."""
        paths = self.paths()
        weights = [path for path in paths if path.suffix.lower() in KINDS]
        for old in self.folder.glob("*/"):
            shutil.rmtree(old, ignore_errors=True)
        if not any(path.name == CONFIG for path in paths) or len(weights) != 1 or weights[0].suffix == ".onnx":
            return [str(path) for path in weights]
        model = self.folder / "model" / weights[0].stem
        model.mkdir(parents=True)
        for path in paths:
            if path.name in CARDS:
                shutil.copyfile(path, model / path.name)
        # A second name of the same file, not its bytes.
        kind = WEIGHTS if weights[0].suffix == ".safetensors" else PICKLED_FOLDER
        try:
            (model / kind).hardlink_to(weights[0])
        except OSError:  # a disk that has none
            shutil.copyfile(weights[0], model / kind)
        return [str(model)]

    def class_names(self) -> Path | None:
        """The file that lists class names, or None."""
        return next((p for p in self.paths() if p.suffix.lower() in NAMES and p.name not in CARDS), None)

    @property
    def unused(self) -> str:
        """A line where a ``config.json`` belongs to no file of weights; else empty."""
        weights = [path for path in self.paths() if path.suffix.lower() in KINDS]
        if any(path.name in CARDS for path in self.paths()) and len(weights) > 1:
            return f"{CONFIG} belongs to one model: give it alone with its weights."
        return ""
