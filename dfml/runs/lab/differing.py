"""In what runs differ: which of them are one setting with several seeds, and which options they do not share."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dfml.runs.spec import RunSpec

FIELDS = (
    "kind", "method", "zoo", "teachers", "data", "preset", "against", "against_weight", "start", "per_class", "seed",
    "device", "threads", "git",
)  # fmt: skip
"""Of a run's spec, what is shown where it differs, besides its options."""
MISSING = None
_APART = ("seed", "label", "group", "created", "versions", "git", "device", "threads", "preset", "format")
"""What runs of one setting may differ in."""
MOST_NAMED = 3


def setting_of(spec: RunSpec) -> str:
    """Return a text that is equal for runs that differ in their seed alone, or in where and when they were done."""
    return json.dumps(spec.model_dump(mode="json", exclude=set(_APART)), sort_keys=True)


class Differing(NamedTuple):
    """What runs do not all have alike, by its name, a value a run: fields of the spec, options, versions.

    Attributes:
        values: What at least two of them have in different ways.
        partial: Options that some have, all of these alike; ``MISSING`` stands for the others.
    """

    values: dict[str, list[Any]]
    partial: dict[str, list[Any]]


def differences_between(specs: Sequence[RunSpec]) -> Differing:
    """Return in what the runs differ, apart from what the options of some do not have at all."""
    found = differing_options(specs)
    partial = {}
    for name, values in found.items():
        had = [value for value in values if value is not MISSING]
        if name not in FIELDS and all(value == had[0] for value in had):
            partial[name] = values
    return Differing({name: values for name, values in found.items() if name not in partial}, partial)


def differing_options(specs: Sequence[RunSpec]) -> dict[str, list[Any]]:
    """Return all that the runs do not have alike; see ``Differing``."""
    found: dict[str, list[Any]] = {name: [getattr(spec, name) for spec in specs] for name in FIELDS}
    for prefix, tables in (
        ("", [spec.config for spec in specs]),
        ("oracle.", [spec.oracle for spec in specs]),
        ("version of ", [spec.versions for spec in specs]),
    ):
        for name in dict.fromkeys(key for table in tables for key in table):
            # An option may be called like a field of the spec.
            shown = f"{prefix}{name}" if prefix or name not in found else f"option {name}"
            found[shown] = [table.get(name, MISSING) for table in tables]
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def name_settings(groups: Mapping[str, Sequence[RunSpec]], given: Mapping[str, str]) -> dict[str, str]:
    """Return a name for each setting: the one that people gave it, or its method and in what it differs from others.

    ``groups`` has the runs of each setting, ``given`` the names that people gave.
    """
    first = {key: specs[0] for key, specs in groups.items()}
    zoos = {_last(spec.zoo) for spec in first.values()}
    names = {
        key: given.get(key) or spec.method + (f" on {_last(spec.zoo)}" if len(zoos) > 1 and spec.zoo else "")
        for key, spec in first.items()
    }
    for name in [name for name, often in Counter(names.values()).items() if often > 1]:
        alike = [key for key in names if names[key] == name]
        apart = differing_options([first[key].model_copy(update={"seed": 0}) for key in alike])
        apart = {what: values for what, values in apart.items() if what not in _APART and "version of " not in what}
        for place, key in enumerate(alike):
            told = [f"{what}={values[place]}" for what, values in list(apart.items())[:MOST_NAMED]]
            names[key] = f"{name} · {', '.join(told)}"
    often, seen = Counter(names.values()), Counter()
    for key, name in names.items():
        seen[name] += 1
        names[key] = f"{name} ({seen[name]})" if often[name] > 1 else name
    return names


def _last(path: str | None) -> str:
    return (path or "").rstrip("/").rpartition("/")[2]
