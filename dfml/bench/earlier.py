"""What ``bench accuracy --update`` keeps of the table that lies there: the rows of methods that are not asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfml.bench.plan import all_methods
from dfml.bench.summary import Rows
from dfml.core.paths import read_json


@dataclass(frozen=True)
class Earlier:
    """Rows of an earlier table; empty where there is none.

    Attributes:
        rows: As they were measured.
        failures: Those that gave no rows, and why.
        runs: What trained them.
        missing: What was unfinished.
        origins: By which command, when and where: one entry a table that they come from.
    """

    rows: Rows = field(default_factory=list)
    failures: Rows = field(default_factory=list)
    runs: Rows = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    origins: Rows = field(default_factory=list)

    @classmethod
    def of(cls, stored: dict[str, Any], methods: Collection[str]) -> Earlier:
        """Keep what a table says of methods other than these.

        Args:
            stored: See ``stored_table``.
            methods: Those that were measured anew.
        """

        def others(name: str) -> Rows:
            return [entry for entry in stored.get(name) or [] if entry.get("method") not in methods]

        # What an update had kept comes from where it came from then.
        origins = [
            {**origin, "methods": [name for name in origin["methods"] if name not in methods]}
            for origin in stored.get("earlier") or []
        ]
        known = {name for origin in origins for name in origin["methods"]}
        own = [entry["method"] for name in ("rows", "failures") for entry in others(name)]
        own = [name for name in dict.fromkeys(own) if name not in known]
        about = {"methods": own, **{name: stored.get(name) for name in ("command", "date", "machine")}}
        # A label begins with the method: "purer, seed 0".
        missing = [label for label in stored.get("missing") or [] if label.partition(",")[0] not in methods]
        return cls(
            rows=others("rows"),
            failures=others("failures"),
            runs=others("runs"),
            missing=missing,
            origins=[origin for origin in (*origins, about) if origin["methods"]],
        )

    def notes(self) -> list[str]:
        """One for each table that rows come from."""
        found = []
        for origin in self.origins:
            machine = origin.get("machine") or {}
            where = ", ".join(str(machine[name]) for name in ("processor", "gpu") if machine.get(name))
            where += f", {machine['cores']} cores" if machine.get("cores") else ""
            found.append(
                f"Measured before, on {origin['date']} ({where}), by `{origin['command']}`: "
                f"{', '.join(origin['methods'])}."
            )
        return found


def stored_table(path: Path) -> dict[str, Any]:
    """The JSON of the table at a path; empty where there is none.

    Raises:
        BadInput: It cannot be read.
    """
    return read_json(path, "results") if path.is_file() else {}


def in_order(entries: Rows) -> Rows:
    """Rows of new and of kept methods as one table has them: by rate, then in the order of all methods."""
    place = {name: position for position, name in enumerate(all_methods())}
    return sorted(entries, key=lambda entry: (entry.get("rate") or 0, place.get(entry["method"], len(place))))
