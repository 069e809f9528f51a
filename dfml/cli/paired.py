"""``bench paired``: by how much the methods of stored results differ, episode by episode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli.options import Json
from dfml.cli.output import answer, table, told_difference

ALONG = ("rate", "data", "seed")
"""What two rows of a benchmark must have in common, besides shots and column."""


def paired(
    result: Annotated[Path, typer.Argument(help="The JSON file of a benchmark's table.")],
    against: Annotated[str, typer.Option(help="The method that the others are set against.")],
    other: Annotated[Path | None, typer.Option(help="Another file that this method is in.")] = None,
    json: Json = False,
) -> None:
    """Tell the differences between a method and the others of a stored table, paired over the same episodes."""
    from dfml.core.errors import BadInput, nearest
    from dfml.data.pairing import differences, stored_rows

    rows = stored_rows(result)
    baseline = stored_rows(other) if other else rows
    known = list(dict.fromkeys(str(row.get("method")) for row in baseline))
    if against not in known:
        raise BadInput(
            f"{other or result} has no method {against!r}.{nearest(against, known)} It has: {', '.join(known)}."
        )
    base = [row for row in baseline if row.get("method") == against]
    looked_at = rows if other else [row for row in rows if row.get("method") != against]
    found = [_told(row, each.row()) for row, each in differences(looked_at, base, ALONG)]
    if not found:
        raise BadInput(f"no row of {result} has a counterpart of {against!r} with equal {', '.join(ALONG)} and column.")
    names = [name for name in ("method", *ALONG, "shots", "adapt", "bn") if any(row[name] is not None for row in found)]
    shown = [[str(row[name]) for name in names] + told_difference(row) for row in found]
    answer(
        {"against": against, "result": str(result), "other": str(other) if other else None, "rows": found},
        json,
        table(shown, [*names, f"points above {against}", "± 95 %", ""]),
    )


def _told(row: dict[str, Any], difference: dict[str, Any]) -> dict[str, Any]:
    kept = ("method", *ALONG, "shots", "adapt", "bn", "accuracy", "episodes")
    return {**{name: row.get(name) for name in kept}, **difference}
