"""Putting a zoo together from models that exist: whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG
from dfml.core.paths import claim_folder, raise_if_disk_full
from dfml.zoo.storage import DETAILS, WEIGHTS


@contextmanager
def new_zoo(out: Path) -> Iterator[Path]:
    """A folder to be filled beside ``out``; renamed to ``out`` where the block ends well, removed where it fails.

    Raises:
        BadInput: There is something at ``out`` already, or no folder can be made there.
        RunFailed: The disk is full or not writable.
    """
    out = out.resolve()  # "." has a name too
    claim_folder(out)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        try:
            part.mkdir(parents=True)
        except (FileExistsError, NotADirectoryError):
            raise BadInput(f"no folder can be made at {out}: a file is in the way.") from None
        yield part
        part.replace(out)
    except (OSError, SafetensorError) as error:  # weights are written by safetensors, which wraps the system's error
        raise_if_disk_full(error, out)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def copy_model(source: Path, target: Path, *, details: bool = True) -> None:
    """Copy a model's folder: its config, weights and, where it has one, its card.

    Args:
        source: The model's folder.
        target: Made here.
        details: Whether to copy ``dfml.json`` too.
    """
    target.mkdir(parents=True)
    for name in (CONFIG, WEIGHTS, *((DETAILS,) if details else ())):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
