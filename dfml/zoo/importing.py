"""Making a zoo out of model folders that somebody else trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG, FLAGS, read_config
from dfml.core.names import find_name
from dfml.core.paths import claim_folder, raise_if_disk_full, read_json, write_json
from dfml.zoo.assembling import copy_model
from dfml.zoo.teacher import load_teacher
from dfml.zoo.zoo import write_zoo


def import_folders(
    folders: list[Path],
    out: Path,
    *,
    domain: str | None = None,
    shared_class_names: bool = False,
    stated: Mapping[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Copy model folders into a zoo, after loading each one.

    Args:
        folders: Model folders in timm's layout.
        out: The zoo's folder; an existing zoo grows.
        domain: The data set that all teachers come from.
        shared_class_names: Whether equal class names of two teachers mean the same class.
        stated: ``mean``, ``std`` or ``input_size`` for the configs that leave them out; written into the copies.

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
    else:
        claim_folder(out)
    added, problems = [], []
    for folder in (folder.resolve() for folder in folders):  # "." has a name too
        if folder.name == "judges":
            problems.append(f"{folder}: a zoo keeps its judges under this name; rename the folder.")
            continue
        if find_name(folder.name, models) is not None:
            problems.append(f"{folder}: the zoo has a teacher {folder.name!r} already; rename the folder.")
            continue
        try:
            load_teacher(folder, stated)
            _copy(folder, out / folder.name, stated)
        except BadInput as error:
            problems.append(str(error))
            continue
        models.append(folder.name)
        added.append(folder.name)
    if added:
        write_zoo(out, models=models, **meta)
    return added, problems


def stated_input(mean: str | None, std: str | None, size: str | None) -> dict[str, list[Any]]:
    """Read what a person states of the networks' input.

    Args:
        mean: One number or one a channel, separated by commas: ``0.5`` or ``0.485,0.456,0.406``.
        std: Likewise, above 0.
        size: Pixels a side, or channels, height and width: ``32`` or ``1,28,28``.

    Returns:
        ``mean``, ``std`` and ``input_size``, those that were given.

    Raises:
        BadInput: Something else was written.
    """
    found: dict[str, list[Any]] = {}
    for key, text, kind in (("mean", mean, float), ("std", std, float), ("input_size", size, int)):
        if text is None:
            continue
        try:
            found[key] = [kind(part) for part in text.split(",")]
        except ValueError:
            raise BadInput(f"{FLAGS[key]} {text!r}: expected numbers separated by commas.") from None
    if len(found.get("input_size", [])) == 1:
        found["input_size"] *= 2
    if len(found.get("input_size", [1, 1])) not in (2, 3):
        raise BadInput(f"{FLAGS['input_size']} {size!r}: expected pixels a side, or channels, height and width.")
    return found


def other_preparation(folder: Path) -> str | None:
    """One line where a model's config states another way of bringing pictures to its size than ours, else None."""
    cfg = read_config(folder)["pretrained_cfg"]
    ours = {"interpolation": "bilinear", "crop_pct": 1.0}
    differs = [f"{key} {cfg[key]}" for key, value in ours.items() if cfg.get(key) not in (None, value)]
    if not differs:
        return None
    return (
        f"{folder.name}: its config states {' and '.join(differs)}; here pictures are resized bilinearly, without a "
        "crop, so its accuracy may differ a little."
    )


def _copy(source: Path, target: Path, stated: Mapping[str, Any] | None) -> None:
    if target.exists():
        raise BadInput(f"{target} is there already and no model of the zoo: remove it, or rename the folder.")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        copy_model(source, part)
        if stated:
            write_json(part / CONFIG, read_config(source, stated))
        part.replace(target)
    except OSError as error:
        raise_if_disk_full(error, target)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
