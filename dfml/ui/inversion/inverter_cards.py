"""What the cards of the inverters say: from the registry, and from the committed table of recoveries."""

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dfml.core.paths import STUDIO
from dfml.ui.widgets.choice_cards import Card, by_idea
from dfml.ui.widgets.texts import in_minutes

MEASURED = STUDIO / "benchmarks" / "results" / "inversion-cifar-fs-conv4-demo.json"
"""Where every demo was timed with gradients, one after the other on two cores; transformers apart."""
IDEAS = {"pixels": "Pixels", "generator": "Generators"}
"""What inverters change, with the words for it."""


class Measured(NamedTuple):
    """What the table says of an inverter: seconds of a recovery and of a warm-up (0: none), and what was recovered.

    ``per_class`` is how many images of each class were.
    """

    seconds: float
    warm_up: float
    what: str
    per_class: int


def inverter_cards(registry: Any, preset: str) -> dict[str, list[Card]]:  # noqa: ANN401 - Registry[Inverter], needs torch
    """Return the cards by idea, as registered."""
    found = []
    for name in registry.names():
        inverter = registry.get(name)
        asks = "gradients or queries only" if inverter.by_queries else "gradients"
        found.append((IDEAS[inverter.changes], Card(name, name, inverter.summary, [took(name, preset), asks])))
    return by_idea(list(IDEAS.values()), found)


def took(name: str, preset: str, *, table: Path = MEASURED) -> str:
    """Say how long a recovery with the demo's options took; empty for other presets, or where the table is silent."""
    row = measured(table).get(name) if preset == "demo" else None
    if row is None:
        return ""
    return in_minutes(row.seconds) + (f", after {in_minutes(row.warm_up)} once for a zoo" if row.warm_up else "")


def took_text(name: str, preset: str, per_class: int) -> str:
    """Say on what that was measured, and where another number of images is asked for."""
    if not (long := took(name, preset)):
        return ""
    row = measured(MEASURED)[name]
    other = "" if per_class == row.per_class else f" Here it is {per_class} a class, for which it was not measured."
    return f"Recovering {row.what} with this demo took {long}, with gradients on two CPU cores.{other}"


@cache
def measured(path: Path) -> dict[str, Measured]:
    """Return the table's first row of each inverter that was given gradients; empty where it cannot be read."""
    found: dict[str, Measured] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        table = json.loads(path.read_text(encoding="utf-8"))
        for part, zoo in (("rows", table["zoo"]), ("transformers", "cifar-fs-vit")):
            for row in table[part]:
                if row["oracle"]["kind"] == "autograd":
                    many = int(table["per_class"])
                    what = f"{many} images per class of a teacher of {zoo}"
                    told = Measured(float(row["seconds"]), float(row["warm_up_seconds"] or 0), what, many)
                    found.setdefault(row["inverter"], told)
    return found
