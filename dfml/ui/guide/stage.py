"""A stage: panels of curves, pictures, points and bars that go through states by themselves, all in the browser."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from dfml.ui.components.line_chart import Level, Line, chart_data
from dfml.ui.components.mounting import component, mark_of, number

_mount = component("stage", Path(__file__).parent, ("base", "chart"))

Panel = dict[str, Any]
"""What one panel shows, as the browser's half takes it; made by the functions below."""


@dataclass(frozen=True)
class State:
    """What changes at one moment: by the id of a panel the values that are new, which stay for later states.

    ``seconds`` is how long it is shown while playing; ``label`` says where one is.
    """

    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.5
    label: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Scene:
    """Panels side by side, and the states that they go through, at least one.

    What plays by itself comes to rest at the state number ``rest``, else at the last one.
    """

    panels: Sequence[Panel]
    states: Sequence[State] = (State(),)
    caption: str = ""
    rest: int | None = None


def stage(
    scenes: Sequence[Scene],
    *,
    key: str,
    move: str,
    autoplay: bool = True,
    timed: bool = False,
    large: bool = False,
    label: str = "",
) -> None:
    """Draw scenes one after another.

    Where ``move`` differs from before, they play from the start; else the place is kept, so that what a reader changes
    can be compared. ``timed`` counts seconds, not states; ``large`` is for a hall. ``label`` stands in the corner.
    """
    how = {"move": move, "autoplay": autoplay, "timed": timed, "large": large, "label": label}
    data = stage_data(scenes) | how | {"rest": scenes[0].rest if len(scenes) == 1 else None}
    _mount(data={**data, "id": mark_of(data)}, key=key)


def stage_data(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return what the browser's half is told, as JSON can hold it."""
    for scene in scenes:
        ids = {panel["id"] for panel in scene.panels}
        strange = [name for state in scene.states for name in state.changes if name not in ids]
        if strange:
            raise ValueError(f"a state changes panels that its scene lacks: {strange}")
    return {
        "scenes": [
            {
                "panels": list(scene.panels),
                "caption": scene.caption,
                "states": [
                    {"set": state.changes, "seconds": state.seconds, "label": state.label, "caption": state.caption}
                    for state in scene.states
                ],
            }
            for scene in scenes
        ]
    }


def curves(
    name: str,
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    alt: str,
    title: str = "",
    percent: bool = False,
    levels: Sequence[Level] = (),
    cursor: float | None = None,
    until: float | None = None,
    reach: Sequence[float] = (),
    quiet: bool = False,
    height: int = 250,
    width: int = 320,
) -> Panel:
    """Curves over steps; for the arguments see ``line_chart``.

    The vertical axis holds the values of ``reach`` in any case, so that choices are drawn on one scale. A ``quiet``
    legend has names without newest values.
    """
    data = chart_data(lines, x=x, y=y, alt=alt, percent=percent, levels=levels)
    size = {"height": height, "width": width, "grow": 2, "quiet": quiet}
    return {
        **data,
        **size,
        "kind": "chart",
        "id": name,
        "title": title,
        "cursor": number(cursor),
        "until": until,
        "reach": list(reach),
    }


def pictures(
    name: str,
    sheet: str,
    *,
    count: int,
    rows: int,
    columns: int,
    alt: str,
    title: str = "",
    frame: int = 0,
    signs: str = "",
    words: Sequence[str] = (),
    widest: int = 300,
) -> Panel:
    """Pictures of a sheet, whose rows are frames of ``count`` pictures, in so many columns.

    ``signs`` has 1 for a right one, 0 for a wrong one, for each picture; ``words`` stand below them.
    """
    shown = {"sheet": sheet, "count": count, "rows": rows, "columns": columns, "frame": frame, "signs": signs}
    look = {"words": list(words), "alt": alt, "title": title, "width": min(260, widest), "widest": widest}
    return {**shown, **look, "kind": "pictures", "id": name}


@dataclass(frozen=True)
class Dot:
    """A point at a place in [0, 1] x [0, 1], of a group (-1: grey), with words for whoever points at it."""

    x: float
    y: float
    group: int = -1
    text: str = ""


def dots(
    name: str,
    points: Sequence[Dot],
    *,
    x: str,
    y: str,
    ends: tuple[str, str, str, str],
    alt: str,
    groups: Sequence[str] = (),
    title: str = "",
) -> Panel:
    """Points that slide when their places change; ``ends`` are the words at the axes: left, right, bottom, top."""
    return {
        **dot_places(points, x=x, ends=ends),
        "kind": "dots", "id": name, "y": y, "groups": list(groups), "alt": alt, "title": title, "width": 340, "grow": 2,
    }  # fmt: skip


def dot_places(points: Sequence[Dot], *, x: str, ends: tuple[str, str, str, str]) -> dict[str, Any]:
    """Return what changes of ``dots`` when the points move to another axis."""
    placed = [{"x": round(p.x, 4), "y": round(p.y, 4), "group": p.group, "text": p.text} for p in points]
    return {"points": placed, "x": x, "ends": list(ends)}


@dataclass(frozen=True)
class Bar:
    """A bar with its words, half the width of its interval, and the number of its colour."""

    name: str
    value: float
    words: str
    half: float | None = None
    group: int = 0


def bars(
    name: str, shown: Sequence[Bar], *, high: float, alt: str, low: float = 0.0, title: str = "", widest: int = 520
) -> Panel:
    """Bars from 0 on a scale from ``low`` to ``high``."""
    ends = {"low": low, "high": high, "alt": alt, "title": title, "width": 260, "widest": widest, "grow": 2}
    return {**bar_values(shown), **ends, "kind": "bars", "id": name}


def bar_values(shown: Sequence[Bar]) -> dict[str, Any]:
    """Return what changes of ``bars`` when their lengths do."""
    rows = [
        {"name": b.name, "value": number(b.value), "words": b.words, "half": number(b.half), "group": b.group}
        for b in shown
    ]
    return {"bars": rows}


def cells(
    name: str, names: Sequence[str], *, teachers: int, known: int, counts: Sequence[int], alt: str, title: str = ""
) -> Panel:
    """Named cells, filled by how often each is counted, below a square for each teacher, of which some are filled."""
    shown = {"names": list(names), "teachers": teachers, "known": known, "counts": list(counts)}
    return {**shown, "kind": "cells", "id": name, "alt": alt, "title": title, "width": 380, "grow": 3}


def matrix(
    name: str, values: str, order: Sequence[int], *, alt: str, bounds: Sequence[tuple[int, int]] = (), title: str = ""
) -> Panel:
    """A square matrix of bytes in base64, its rows and columns in an order; ``bounds`` frame blocks on the diagonal."""
    shown = {"values": values, "order": list(order), "bounds": [list(each) for each in bounds]}
    return {**shown, "kind": "matrix", "id": name, "alt": alt, "title": title, "width": 260, "widest": 310}


def links(
    name: str, heads: Sequence[tuple[str, Sequence[str]]], *, alt: str, drawn: bool = True, title: str = ""
) -> Panel:
    """Two lists of names, and lines between what they share."""
    (_, left), (_, right) = heads
    shared = [word for word in left if word in right]
    return {
        "kind": "links", "id": name, "alt": alt, "title": title, "width": 340, "grow": 2, "drawn": drawn,
        "heads": [{"name": title_, "classes": list(words), "shared": shared} for title_, words in heads],
        "links": [[list(left).index(word), list(right).index(word)] for word in shared],
    }  # fmt: skip


@lru_cache(maxsize=32)
def data_url(path: Path, changed: float) -> str:
    """Return a WebP file as an address that the browser takes; ``changed`` is the file's time, for the cache."""
    del changed
    return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()
