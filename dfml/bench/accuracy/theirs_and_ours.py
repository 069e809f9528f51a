"""The published preset of each method beside its demo, so that what is theirs and what is ours can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfml.bench.accuracy.accuracy_table import FLOOR, name_of
from dfml.bench.job import Row, Rows
from dfml.bench.report import grouped, interval, markdown_table
from dfml.bench.study_config import AccuracyConfig
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import read_json
from dfml.data.pairing import difference
from dfml.methods import METHODS

PUBLISHED, DEMO = "published", "demo"
PLACES = ("seed", "rate", "data", "shots")
"""What two rows share that are set against one another."""
WAYS = ("steps", "chosen steps", "centroid", "linear")
SIZES = ("iterations", "validate_every", "validation_episodes")
"""Options that say how long something is done, not what."""


def beside_the_demo(config: AccuracyConfig, name: str, rows: Rows, runs: Rows) -> list[str]:
    """A heading and a table of the published rows beside those of the demo's table in the same folder.

    ``rows`` and ``runs`` are those of the published table, of this ``name``. Each number is that of the better
    transductive way of adapting, which is named; differences are paired episode by episode. Empty where this is
    another preset's table, or there is no such table of the demo.
    """
    path = config.out / name.replace(f"-{PUBLISHED}", f"-{DEMO}")
    theirs, ours = rows, _stored(path.with_name(f"{path.name}.json"), config)
    if config.preset != PUBLISHED or not ours:
        return []
    configs = {key[:2]: runs[0]["config"] for key, runs in grouped(runs, "method", "variant").items()}
    demos = {key[0]: runs[0]["config"] for key, runs in grouped(ours.get("runs") or [], "method").items()}
    lines: Rows = []
    loose: set[str] = set()
    there = grouped(_transductive(ours["rows"]), "method", *PLACES)
    for (method, variant, *place), best, least in _beside_random(theirs):
        if METHODS.get(method).role != "method":
            continue
        demo = there.get((method, *place))
        other = _better(demo) if demo else None
        own = configs.get((method, variant))
        lines.append(
            {
                **dict(zip(PLACES, place, strict=True)),
                "method": name_of(best),
                "ours in the demo": _changed(method, own, demos.get(method)),
                PUBLISHED: _told(best),
                DEMO: _told(other),
                "above random": _less(best, least, loose),
                "demo above published": _less(other, best, loose),
            }
        )
    if not lines:
        return []
    titles = ["method", *_places(lines), "ours in the demo", PUBLISHED, DEMO, "above random", "demo above published"]
    heading = (
        "Theirs and ours: each method as it is published, and the demo with what this program adds or changes "
        "(per cent and points, transductive; the better way of adapting of each, chosen on these same episodes)."
    )
    return [heading, markdown_table(" | ".join(titles), "", lines), *_notes(loose)]


def way_by_way(rows: Rows, method: str) -> str:
    """A table of the ways of adapting of a method and of random weights, transductive, for the method's page.

    The last column is the method's better way less the better way of random weights, both chosen on these episodes;
    what is not paired episode by episode is marked, and a line below says why.
    """
    lines: Rows = []
    loose: set[str] = set()
    ways = grouped(_transductive(rows), "method", "variant", *PLACES)
    for (name, variant, *place), best, least in _beside_random(rows):
        if name not in (method, FLOOR):
            continue
        told = {row["adapt"]: interval(row["accuracy"], row["ci95"]) for row in ways[name, variant, *place]}
        above = "–" if name == FLOOR else _less(best, least, loose)
        above += f" ({_ways(best, least)})" if least and name != FLOOR else ""
        line = {**dict(zip(PLACES, place, strict=True)), "form": f"{name}, {variant}" if variant else name}
        lines.append({**line, **{way: told.get(way, "–") for way in WAYS}, "above random": above})
    lines.sort(key=lambda line: line["form"] == FLOOR)
    table = markdown_table(" | ".join(["form", *_places(lines), *WAYS, "above random"]), "", lines)
    return "\n\n".join([table, *_notes(loose)])


def _beside_random(rows: Rows) -> list[tuple[tuple[Any, ...], Row, Row | None]]:
    """Method, variant and place; the row of the better way of adapting there, and that of random weights."""
    own = _transductive(rows)
    floors = {
        place: _better(mine) for place, mine in grouped((r for r in own if r["method"] == FLOOR), *PLACES).items()
    }
    return [
        (key, _better(mine), floors.get(key[2:])) for key, mine in grouped(own, "method", "variant", *PLACES).items()
    ]


def _less(one: Row | None, other: Row | None, loose: set[str]) -> str:
    """One row less another, paired episode by episode; where that is not so, marked, and why into ``loose``."""
    if one is None or other is None:
        return "–"
    found = difference(one, other)
    if not found.paired:
        loose.add(found.pairing)
    half = "" if found.difference_ci95 is None else f" ± {100 * found.difference_ci95:.2f}"
    return f"{100 * found.difference:+.2f}{half}{'' if found.paired else ' *'}"


def _notes(loose: set[str]) -> list[str]:
    return [f"\\* {why}." for why in sorted(loose)]


def _places(lines: Rows) -> list[str]:
    return [name for name in PLACES if name == "shots" or len({str(line[name]) for line in lines}) > 1]


def _ways(one: Row, other: Row) -> str:
    return one["adapt"] if one["adapt"] == other["adapt"] else f"{one['adapt']} less {other['adapt']}"


def _stored(path: Path, config: AccuracyConfig) -> Row:
    """The demo's table, if there is one of the same split and changes."""
    try:
        stored = read_json(path, "results") if path.is_file() else {}
    except BadInput:
        return {}
    alike = isinstance(stored, dict) and (stored.get("split"), stored.get("changes")) == (config.split, config.changes)
    return stored if alike and isinstance(stored.get("rows"), list) else {}


def _transductive(rows: Rows) -> Rows:
    return [row for row in rows if row["bn"] == "transductive"]


def _better(rows: Rows) -> Row:
    return max(rows, key=lambda row: row["accuracy"])


def _told(row: Row | None) -> str:
    return "–" if row is None else f"{interval(row['accuracy'], row['ci95'])} ({row['adapt']})"


def _changed(method: str, published: Row | None, demo: Row | None) -> str:
    """The options in which the demo differs, as it has them; those that only say for how long come last."""
    cls = METHODS.get(method)
    one, two = (_whole(cls.Config, config) for config in (published, demo))
    if not one or not two:
        return "–"
    differing = [name for name in {**two, **one} if one.get(name) != two.get(name)]
    differing.sort(key=lambda name: name in SIZES)
    return ", ".join(f"{name}={two.get(name, 'as by default')}" for name in differing) or "nothing"


def _whole(config: type[Config], stored: Row | None) -> Row:
    """A stored config with the options that are younger than it; empty where it cannot be read any more."""
    try:
        return config.parse(stored).model_dump(mode="json") if stored else {}
    except BadInput:
        return {}
