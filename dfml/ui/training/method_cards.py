"""What the cards of the methods say: all of it from the registry, the presets and the committed tables."""

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dfml.core.config import Config
from dfml.runs.costs.machine import TIMES as MEASURED
from dfml.runs.costs.machine import demo_times
from dfml.ui.widgets.choice_cards import Card, by_idea
from dfml.ui.widgets.texts import in_minutes, listed

IDEAS = ("Recovered images", "Weights", "References")
"""What they learn from; the last learn nothing, or are no data-free model of one network."""
LEAST_TOLD = 60.0
"""Seconds of recoveries that a card tells of."""
Method = Any
"""A class of methods, which need torch."""


class Measured(NamedTuple):
    """What a table's row says of a method: seconds of its training, and what real things it looked at."""

    seconds: float
    side_information: tuple[str, ...]


def method_cards(registry: Any, preset: str, first: str) -> dict[str, list[Card]]:  # noqa: ANN401 - Registry[Method]
    """Return the cards by idea, ``first`` first, the others as registered."""
    found = []
    for name in sorted(registry.names(), key=lambda one: one != first):
        method = registry.get(name)
        facts = [_took_at_first(name, preset), needs(method, method.preset(preset))]
        facts += [looked_at(name)] if preset == "demo" else []
        title = f"{method.title} ({other})" if (other := method.mostly(dict(method.preset(preset)))) else method.title
        found.append((idea_of(method), Card(name, title, method.summary, facts, method.reference)))
    return by_idea(IDEAS, found)


def idea_of(method: Method) -> str:
    """Return the group of a method."""
    if not (method.data_free and method.one_model and method.asks_teachers):
        return IDEAS[2]
    return IDEAS[0] if method.space == "data" else IDEAS[1]


def needs(method: Method, config: Config) -> str:
    """Say what a method asks of the teachers."""
    if not method.asks_teachers:
        return "no teacher"
    if getattr(config, "oracle", "") == "zeroth-order":
        return "queries only"
    return "gradients" if method.space == "data" else "weights"


def took(name: str, preset: str, *, table: Path = MEASURED) -> str:
    """Say how long the demo's training took; empty for other presets, or where the table does not tell."""
    row = measured(table).get(name) if preset == "demo" else None
    return in_minutes(row.seconds) if row else ""


def _took_at_first(name: str, preset: str) -> str:
    """Say the same, and how long it takes where images are yet to be recovered that later runs share."""
    text, known = took(name, preset), demo_times().get(name)
    if not text or known is None or known.recoveries < LEAST_TOLD:
        return text
    return f"{text}, at first {in_minutes(known.training + known.recoveries)}"


def looked_at(name: str, *, table: Path = MEASURED) -> str:
    """Say what real things a demo looked at, as its table tells; empty where that does not tell."""
    row = measured(table).get(name)
    if row is None:
        return ""
    kinds = [told.split(" (")[0] for told in row.side_information]  # where it came from stands in the model's card
    return f"saw {listed(kinds, 4)}" if kinds else "no side information"


@cache
def measured(path: Path) -> dict[str, Measured]:
    """Return a table's rows by method; empty where it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {row["method"]: Measured(float(row["seconds"]), tuple(row["side_information"])) for row in rows}
    return {}
