"""What models answer on the same pictures, in numbers and rows: no drawing, no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dfml.core.texts import for_spreadsheet
from dfml.ui.adaptation.models_at_hand import Model
from dfml.ui.components.tile_grid import Sign

if TYPE_CHECKING:
    from dfml.meta.adaptation import Adaptation
    from dfml.ui.adaptation.choose_images import Chosen


class Answered(NamedTuple):
    """A model, its answers, and the seconds that they took."""

    model: Model
    outcome: Adaptation
    seconds: float

    def guesses(self) -> list[tuple[str, float]]:
        """Return the likeliest class of each query image, and its probability."""
        return [best(self.outcome.classes, row) for row in self.outcome.probabilities.tolist()]


def best(classes: Sequence[str], chances: Sequence[float]) -> tuple[str, float]:
    """Return the likeliest class and its probability."""
    place = max(range(len(chances)), key=chances.__getitem__)
    return classes[place], chances[place]


def right(answered: Answered, chosen: Chosen) -> tuple[int, int]:
    """Return how many of the query images whose class is known are taken for it, and how many are known."""
    pairs = zip(answered.guesses(), chosen.query, strict=True)
    verdicts = [guess == label for (guess, _), (label, _) in pairs if label in chosen.support]
    return sum(verdicts), len(verdicts)


def signs(answered: Answered, chosen: Chosen) -> list[Sign]:
    """Return ``right``, ``wrong`` or, where the class is not known, nothing, for each query image."""
    pairs = zip(answered.guesses(), chosen.query, strict=True)
    return [
        "" if label not in chosen.support else "right" if guess == label else "wrong"
        for (guess, _), (label, _) in pairs
    ]


def interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, JASA 1927), which stays within [0, 1] for few pictures too."""
    z = 1.959964
    share, scale = hits / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def predictions_csv(answered: Answered, chosen: Chosen) -> str:
    """Return a row a query image: file, answer, its probability, the class if known, and each class's probability."""
    classes = answered.outcome.classes
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "answer", "probability", "class", *(for_spreadsheet(f"p({name})") for name in classes)])
    rows = zip(chosen.query, answered.guesses(), answered.outcome.probabilities.tolist(), strict=True)
    for (label, file), (guess, chance), chances in rows:
        name = f"{label}/{file.name}" if label and chosen.store is None else file.name
        numbers = [f"{value:.4f}" for value in chances]
        table.writerow(
            [for_spreadsheet(name), for_spreadsheet(guess), f"{chance:.4f}", for_spreadsheet(label), *numbers]
        )
    return text.getvalue()


def points(after: float, before: float) -> str | None:
    """Return a difference of two fractions in points, with its sign; None where there is none."""
    return f"{100 * (after - before):+.1f} points" if after != before else None


def changed_rows(outcome: Adaptation, query: Sequence[tuple[str, Path]]) -> list[dict[str, str]]:
    """Return a row for each query image whose class a calibration changed: what it shows, and both answers."""
    rows, chances = [], zip(outcome.probabilities.tolist(), outcome.uncalibrated.tolist(), strict=True)
    for number, (after, before) in enumerate(chances):
        (was, old), (now, new) = best(outcome.classes, before), best(outcome.classes, after)
        if was == now:
            continue
        truth = query[number][0]
        verdict = "right" if truth == now else "no longer right" if truth == was else "still wrong"
        rows.append(
            {
                "Query image": str(number + 1),
                "It is": truth or "–",
                "Before": f"{was} ({old:.0%})",
                "After": f"{now} ({new:.0%})",
                "Now": verdict if truth else "–",
            }
        )
    return rows
