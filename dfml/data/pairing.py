"""Differences between results: paired where both were measured on the same episodes, and said where they were not."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from dfml.core.errors import BadInput

Row = dict[str, Any]
COLUMN = ("shots", "adapt", "bn")
"""What two rows must have in common before their accuracies are compared."""
NOT_KEPT, OTHERS = "not paired: no episode list kept", "not paired: other episodes"


@dataclass(frozen=True)
class Difference:
    """By how much one accuracy is above another.

    Attributes:
        difference: Of the means, a fraction in [-1, 1].
        difference_ci95: Half width of its 95 % interval. Paired: of the differences episode by episode. Otherwise the
            root of the sum of squares of both half widths, which is wider; None where one of them is unknown.
        paired: Whether both were measured on the same list of episodes; ``pairing`` says why not.
    """

    difference: float
    difference_ci95: float | None
    paired: bool
    pairing: str

    def row(self) -> Row:
        """Return it for a table row."""
        return asdict(self)


def difference(row: Row, other: Row) -> Difference:
    """Compare a row of results (``Evaluation.row()``, also of older versions, which kept no episodes) with another.

    Both are of the same ``COLUMN``.
    """
    own, others = _shares(row), _shares(other)
    if own and others and row["episode_list"] == other["episode_list"] and len(own) == len(others):
        gone = [x - y for x, y in zip(own, others, strict=True)]
        return Difference(fmean(gone), 1.96 * pstdev(gone) / len(gone) ** 0.5, True, "paired")
    first, second = row.get("ci95"), other.get("ci95")
    half = None if first is None or second is None else (first**2 + second**2) ** 0.5
    return Difference(row["accuracy"] - other["accuracy"], half, False, OTHERS if own and others else NOT_KEPT)


def _shares(row: Row) -> list[float]:
    """Return the accuracy of each episode; empty where a row keeps none, or nothing that can be read."""
    right, of = row.get("right"), row.get("query_pictures")
    if not isinstance(row.get("episode_list"), str) or not isinstance(of, int) or not isinstance(right, list):
        return []
    possible = of > 0 and all(isinstance(count, int) and 0 <= count <= of for count in right)
    return [count / of for count in right] if possible else []


def differences(rows: list[Row], others: list[Row], along: tuple[str, ...] = ()) -> Iterator[tuple[Row, Difference]]:
    """Yield each row that has a counterpart, with the difference from it; ``along`` must agree besides ``COLUMN``."""
    wanted = (*COLUMN, *along)
    known = {tuple(other.get(name) for name in wanted): other for other in others}
    for row in rows:
        other = known.get(tuple(row.get(name) for name in wanted))
        if other is not None:
            yield row, difference(row, other)


def stored_rows(path: Path) -> list[Row]:
    """Return the rows of a stored result.

    It is what a command printed with ``--json``, the JSON file of a benchmark's table, or a run's ``result.json``,
    whose closing test is one row. ``BadInput``: the file cannot be read or holds no accuracies.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {getattr(error, 'strerror', None) or error}.") from None
    found: Any = None
    for part in (text, *text.strip().splitlines()[-1:]):  # the answer is the last line, whatever was printed before
        try:
            found = json.loads(part)
            break
        except (ValueError, RecursionError):
            continue
    rows = found.get("rows") if isinstance(found, dict) else None
    if rows is None and isinstance(found, dict) and found.get("test_accuracy") is not None:
        rows = [{**found, "accuracy": found["test_accuracy"]}]
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    good = [row for row in rows if holds_accuracy(row)]
    if not good:
        raise BadInput(
            f"{path} holds no accuracies: give what `evaluate --json` printed, a benchmark's JSON file, or a run's "
            "result.json."
        )
    return good


def holds_accuracy(row: Row) -> bool:
    """Whether a row that anybody may have written has a fraction as accuracy, and one, or none, as its interval."""
    return _is_fraction(row.get("accuracy")) and (row.get("ci95") is None or _is_fraction(row["ci95"]))


def _is_fraction(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1  # not a number is neither
