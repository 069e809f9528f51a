"""Making a zoo out of model folders that somebody else trained."""

from __future__ import annotations

import shutil
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.paths import raise_if_disk_full, read_json
from dfml.zoo.assembling import copy_model
from dfml.zoo.teacher import load_teacher
from dfml.zoo.zoo import write_zoo


def import_folders(
    folders: list[Path], out: Path, *, domain: str | None = None, shared_class_names: bool = False
) -> tuple[list[str], list[str]]:
    """Copy model folders into a zoo, after loading each one.

    Args:
        folders: Model folders in timm's layout.
        out: The zoo's folder; an existing zoo grows.
        domain: The data set that all teachers come from.
        shared_class_names: Whether equal class names of two teachers mean the same class.

    Returns:
        Ids of the teachers that were added, and one line for each folder that was not.

    Raises:
        BadInput: ``out`` is a folder of something else.
    """
    models, meta = [], {"name": out.name, "domain": domain, "shared_class_names": shared_class_names}
    if (out / "zoo.json").is_file():
        before = read_json(out / "zoo.json", "zoo")
        if not isinstance(before, dict) or not isinstance(before.get("models"), list):
            raise BadInput(f"{out / 'zoo.json'} lists no models: it is not a zoo of this program.")
        models = before.pop("models")
        before.pop("format", None)
        meta = before
    elif out.is_dir() and any(out.iterdir()):
        raise BadInput(f"{out} is no zoo and not empty: choose another folder.")
    added, problems = [], []
    for folder in (folder.resolve() for folder in folders):  # "." has a name too
        if folder.name == "judges":
            problems.append(f"{folder}: a zoo keeps its judges under this name; rename the folder.")
            continue
        if folder.name in models:
            problems.append(f"{folder}: the zoo has a teacher {folder.name!r} already; rename the folder.")
            continue
        try:
            load_teacher(folder)
            _copy(folder, out / folder.name)
        except BadInput as error:
            problems.append(str(error))
            continue
        models.append(folder.name)
        added.append(folder.name)
    if added:
        write_zoo(out, models=models, **meta)
    return added, problems


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        raise BadInput(f"{target} is there already and no model of the zoo: remove it, or rename the folder.")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        copy_model(source, part)
        part.replace(target)
    except OSError as error:
        raise_if_disk_full(error, target)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
