"""Putting a zoo together from models that exist: whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG
from dfml.core.names import same
from dfml.core.paths import claim_folder, filled_folder
from dfml.zoo.listing import DETAILS, ONNX_FILE, WEIGHTS
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
    for name in (CONFIG, WEIGHTS, ONNX_FILE, *((DETAILS,) if details else ())):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


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
            for _ in zoo:  # tries to load each
                pass
            for card in zoo.cards:
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
