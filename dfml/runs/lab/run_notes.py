"""``notes.json`` in a run's folder: what people say of the run afterwards; what it was asked stays in ``spec.json``."""

import os
from pathlib import Path

from pydantic import Field

from dfml.core.config import Record
from dfml.core.errors import BadInput
from dfml.core.paths import read_json

NOTES = "notes.json"
LONGEST_NAME, LONGEST_TEXT = 80, 4000
"""Characters."""


class RunNotes(Record):
    """A run's own name (empty: the one that it was started under), whether it has a star, and a note."""

    label: str = Field("", max_length=LONGEST_NAME)
    star: bool = False
    text: str = Field("", max_length=LONGEST_TEXT)


NONE = RunNotes.model_construct(label="", star=False, text="")


def read_notes(folder: Path) -> RunNotes:
    """Return a run's notes; empty ones where there are none, or where the file is damaged."""
    path = folder / NOTES
    if not os.path.isfile(path):
        return NONE
    try:
        return RunNotes(**RunNotes.checked(read_json(path, "notes", most=2**16), NOTES))
    except BadInput:
        return NONE
