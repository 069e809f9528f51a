"""One zoo of several, for instance of teachers from different data sets."""

from __future__ import annotations

import re
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.zoo.assembling import copy_model, new_zoo
from dfml.zoo.zoo import Zoo, write_zoo


def merge_zoos(zoos: list[Zoo], out: Path, *, name: str | None = None) -> tuple[list[str], list[str]]:
    """Copy the teachers of several zoos, with their judges, into a new one.

    Ids are prefixed by their zoo's name. Cards are left as they are. Equal class names are one class only where
    both zoos vouch for their names and are of the same domain.

    Args:
        zoos: At least two.
        out: The new zoo's folder.
        name: What the new zoo is called; None: as its folder.

    Returns:
        Ids of the new zoo's teachers, and one line for each teacher that cannot be used and was left out.

    Raises:
        BadInput: Fewer than two zoos, one that is given twice, a server, or something at ``out`` already.
    """
    if len(zoos) < 2:
        raise BadInput(f"merging needs at least two zoos, received {len(zoos)}.")
    folders = [zoo.folder.resolve() for zoo in zoos]
    for folder in folders:
        if folders.count(folder) > 1:
            raise BadInput(f"zoo {folder.name!r} is given twice: leave one out.")
    domains = {zoo.domain and same(str(zoo.domain)) for zoo in zoos}
    one_domain = len(domains) == 1 and None not in domains
    models: list[str] = []
    problems: list[str] = []
    spaces: dict[str, str] = {}
    with new_zoo(out) as part:
        for zoo, prefix in zip(zoos, _prefixes(zoos), strict=True):
            for card in [teacher.card for teacher in zoo]:
                new = f"{prefix}-{card.id}"
                while new in models:  # as b-0 of zoo a and 0 of zoo a-b
                    new += "-2"
                copy_model(zoo.folder / card.id, part / new)
                judge = zoo.judge_folder(card)
                if judge is not None:
                    copy_model(judge, part / "judges" / new)
                models.append(new)
                space = zoo.space(card)
                if space is not None:
                    spaces[new] = space or zoo.domain or prefix
            problems += [f"{zoo.name}: {reason}" for reason in zoo.problems.values()]
        shared = {"shared_class_names": bool(spaces)}
        if spaces and not (one_domain and len(spaces) == len(models) and len(set(spaces.values())) == 1):
            shared["name_spaces"] = spaces
        domain = domains.pop() if one_domain else None
        write_zoo(part, models=models, name=name or out.resolve().name, domain=domain, **shared)
    return models, problems


def _prefixes(zoos: list[Zoo]) -> list[str]:
    """A name for each zoo that can stand in a folder's name, numbered where several would be equal."""
    found: list[str] = []
    for zoo in zoos:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", zoo.name).strip(".-") or "zoo"
        number, prefix = 1, plain
        while prefix in found:
            number += 1
            prefix = f"{plain}-{number}"
        found.append(prefix)
    return found
