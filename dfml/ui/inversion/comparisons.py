"""Recoveries that were started together: up to three inverters, one teacher, one seed."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from dfml.runs.spec import RunSpec
from dfml.ui.runs.run_rows import RunRow

MOST = 3
_WORST_FIRST = ("crashed", "failed", "unreadable", "stopped", "finished")


@dataclass(frozen=True)
class Comparison:
    """Runs that stand side by side, in the order of their start; a run that was started alone is one of one.

    ``name`` is what a link says: the group's id, or the folder's name of a single run.
    """

    name: str
    rows: tuple[RunRow, ...]

    @property
    def spec(self) -> RunSpec | None:
        """The order of the first run that can be read."""
        return next((row.spec for row in self.rows if row.spec), None)

    @property
    def single(self) -> bool:
        """Whether it is one run."""
        return len(self.rows) == 1

    @property
    def title(self) -> str:
        """What people call it."""
        if self.single or self.spec is None:
            return self.rows[0].title
        return f"{whose(self.spec)}: {', '.join(self.names)}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each run among the others."""
        return tuple(series_names([row.spec for row in self.rows]))

    @property
    def active(self) -> bool:
        """Whether a number may still change."""
        return any(row.active for row in self.rows)

    @property
    def state(self) -> str:
        """That of a run which works or waits, else the worst."""
        states = [row.state for row in self.rows]
        if "running" in states:
            return "running"
        return next((row.state for row in self.rows if row.active), None) or min(
            states, key=lambda state: _WORST_FIRST.index(state) if state in _WORST_FIRST else len(_WORST_FIRST)
        )

    @property
    def created(self) -> float:
        """When the first run was made, seconds since 1970."""
        return min(row.created for row in self.rows)

    @property
    def members(self) -> dict[str, str]:
        """Its name by the name of each of its runs, so that a link to a run finds its comparison."""
        return {row.name: self.name for row in self.rows}


def new_group() -> str:
    """A fresh id for runs that belong together."""
    return f"comparison-{secrets.token_hex(6)}"


def comparisons(rows: list[RunRow]) -> list[Comparison]:
    """Put runs of one group together; the newest comparison first."""
    groups: dict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        groups[row.spec.group if row.spec and row.spec.group else row.name].append(row)
    found = [
        Comparison(name, tuple(sorted(members, key=lambda row: (row.created, row.name))))
        for name, members in groups.items()
    ]
    return sorted(found, key=lambda one: one.created, reverse=True)


def whose(spec: RunSpec) -> str:
    """Which teachers of which zoo."""
    zoo = (spec.zoo or "").rstrip("/").rpartition("/")[2] or "a zoo"
    if len(spec.teachers) == 1:
        return f"teacher {spec.teachers[0]} of {zoo}"
    return f"{len(spec.teachers)} teachers of {zoo}" if spec.teachers else f"all teachers of {zoo}"


def series_names(specs: list[RunSpec | None]) -> list[str]:
    """The inverters' names, told apart by how they ask, and by a number where that is equal too."""
    names = ["unreadable" if spec is None else spec.method for spec in specs]
    often = Counter(names)
    for position, spec in enumerate(specs):
        if spec and often[names[position]] > 1 and spec.oracle.get("oracle") == "zeroth-order":
            names[position] += ", queries"
    often, met = Counter(names), Counter()
    for position, name in enumerate(names):
        if often[name] > 1:
            met[name] += 1
            names[position] = f"{name} {met[name]}"
    return names
