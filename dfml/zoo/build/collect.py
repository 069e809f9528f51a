"""Putting a zoo together from models that exist: whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG, FLAGS, read_config, tensor_shapes
from dfml.core.names import find_name, same
from dfml.core.paths import claim_folder, filled_folder, read_json, write_json
from dfml.zoo.listing import DETAILS, WEIGHTS, read_card, read_index
from dfml.zoo.zoo import Zoo, write_zoo


@contextmanager
def new_zoo(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to be filled with a new zoo, which appears at ``out`` whole or not at all.

    ``BadInput``: there is something at ``out`` already, or no folder can be made there; ``RunFailed``: the disk is full
    or not writable.
    """
    out = out.resolve()  # "." has a name too
    claim_folder(out)
    with filled_folder(out) as part:
        yield part


def copy_model(source: Path, target: Path, *, details: bool = True) -> None:
    """Copy a model folder's config, weights and, with ``details``, its ``dfml.json`` where it has one."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, WEIGHTS, *((DETAILS,) if details else ())):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def import_folders(
    folders: list[Path],
    out: Path,
    *,
    domain: str | None = None,
    shared_class_names: bool = False,
    stated: Mapping[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Copy model folders in timm's layout into a zoo, after loading each one; a zoo that is there grows.

    What is ``stated`` (see ``read_config``) is written into the copies; the other options are a new zoo's. Returns the
    ids of the teachers that were added, and one line for each folder that was not; ``BadInput``: ``out`` is no zoo's.
    """
    models, meta = [], {"name": out.name, "domain": domain, "shared_class_names": shared_class_names}
    if (out / "zoo.json").is_file():
        read_index(out)
        meta = read_json(out / "zoo.json", "zoo")
        models = meta.pop("models")
        meta.pop("format", None)
    else:
        claim_folder(out)
    added, problems = [], []
    for folder in (folder.resolve() for folder in folders):  # "." has a name too
        target = out / folder.name
        try:
            if folder.name == "judges":
                raise BadInput(f"{folder}: a zoo keeps its judges under this name; rename the folder.")
            if find_name(folder.name, [*models, *added]) is not None:
                raise BadInput(f"{folder}: the zoo has a teacher {folder.name!r} already; rename the folder.")
            _load(folder, stated)
            if target.exists():
                raise BadInput(f"{target} is there already and no model of the zoo: remove it, or rename the folder.")
            with filled_folder(target) as part:
                copy_model(folder, part)
                if stated:
                    write_json(part / CONFIG, read_config(folder, stated))
            added.append(folder.name)
        except BadInput as error:
            problems.append(str(error))
    if added:
        write_zoo(out, models=[*models, *added], **meta)
    return added, problems


def _load(folder: Path, stated: Mapping[str, Any] | None) -> None:
    """See that a model can be loaded, first as far as that needs no torch; ``BadInput`` where it cannot."""
    read_card(folder, stated)
    tensor_shapes(folder / WEIGHTS, f"model {folder.name!r}")

    from dfml.zoo.teacher import load_teacher

    load_teacher(folder, stated)


def stated_input(mean: str | None, std: str | None, size: str | None) -> dict[str, list[Any]]:
    """Read what a person states of the networks' input, as ``mean``, ``std`` and ``input_size`` where given.

    Numbers are separated by commas: one or one per channel for mean and std (above 0), ``32`` or ``1,28,28`` for size;
    ``BadInput`` where something else was written.
    """
    found: dict[str, list[Any]] = {}
    for key, text, kind in (("mean", mean, float), ("std", std, float), ("input_size", size, int)):
        try:
            if text is not None:
                found[key] = [kind(part) for part in text.split(",")]
        except ValueError:
            raise BadInput(f"{FLAGS[key]} {text!r}: expected numbers separated by commas.") from None
    if len(sides := found.get("input_size", [1])) == 1:
        sides *= 2
    if len(sides) not in (2, 3):
        raise BadInput(f"{FLAGS['input_size']} {size!r}: expected pixels a side, or channels, height and width.")
    return found


def other_preparation(folder: Path) -> str | None:
    """One line where a model's config states another way of bringing images to its size than ours, else None."""
    cfg = read_config(folder)["pretrained_cfg"]
    ours = {"interpolation": "bilinear", "crop_pct": 1.0}
    differs = [f"{key} {cfg[key]}" for key, value in ours.items() if cfg.get(key) not in (None, value)]
    ways = "here images are resized bilinearly, without a crop, so its accuracy may differ a little."
    return f"{folder.name}: its config states {' and '.join(differs)}; {ways}" if differs else None


def merge_zoos(zoos: list[Zoo], out: Path, *, name: str | None = None) -> tuple[list[str], list[str]]:
    """Copy the teachers of at least two zoos, with their judges, into a new one, called as its folder or ``name``.

    Ids are prefixed by their zoo's name. Cards are left as they are. Equal class names are one class only where both
    zoos vouch for their names and are of the same domain. Returns the ids of the new zoo's teachers, and one line for
    each teacher that cannot be used and was left out. ``BadInput``: fewer than two zoos, one that is given twice, a
    server, or something at ``out`` already.
    """
    if len(zoos) < 2:
        raise BadInput(f"merging needs at least two zoos, received {len(zoos)}.")
    folders = [zoo.folder.resolve() for zoo in zoos]
    if twice := [folder.name for folder in folders if folders.count(folder) > 1]:
        raise BadInput(f"zoo {twice[0]!r} is given twice: leave one out.")
    domains = {zoo.domain and same(str(zoo.domain)) for zoo in zoos}
    one_domain = len(domains) == 1 and None not in domains
    models, problems, spaces, prefixes = [], [], {}, []
    with new_zoo(out) as part:
        for zoo in zoos:
            plain = re.sub(r"[^A-Za-z0-9._-]+", "-", zoo.name).strip(".-") or "zoo"
            numbered = (plain, *(f"{plain}-{number}" for number in range(2, len(zoos) + 1)))
            prefix = next(name for name in numbered if name not in prefixes)
            prefixes.append(prefix)
            for card in [teacher.card for teacher in zoo]:
                new = f"{prefix}-{card.id}"
                while new in models:  # as b-0 of zoo a and 0 of zoo a-b
                    new += "-2"
                copy_model(zoo.folder / card.id, part / new)
                if judge := zoo.judge_folder(card):
                    copy_model(judge, part / "judges" / new)
                models.append(new)
                if (space := zoo.space(card)) is not None:
                    spaces[new] = space or zoo.domain or prefix
            problems += [f"{zoo.name}: {reason}" for reason in zoo.problems.values()]
        shared: dict[str, Any] = {"shared_class_names": bool(spaces)}
        if spaces and not (one_domain and len(spaces) == len(models) and len(set(spaces.values())) == 1):
            shared["name_spaces"] = spaces
        domain = domains.pop() if one_domain else None
        write_zoo(part, models=models, name=name or out.resolve().name, domain=domain, **shared)
    return models, problems
