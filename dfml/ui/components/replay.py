"""A run played again in the browser: one slider moves curves, pictures and a map together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dfml.ui.components.line_chart import Level, Line, Mark, chart_data
from dfml.ui.components.mounting import component, mark_of, number
from dfml.ui.components.point_map import Point, map_data
from dfml.ui.components.sprites import Packed, Picture, packed

PANE, GAP, CAPTION = 250, 3, 16
"""Pixels: the height of each part, the gap between pictures, the height of a caption."""
_mount = component("replay")


class Chart(NamedTuple):
    """Curves with a title; values are fractions with ``percent``, ``y`` names the axis."""

    title: str
    lines: Sequence[Line]
    percent: bool = False
    levels: Sequence[Level] = ()
    y: str = ""
    log: bool = False
    marks: Sequence[Mark] = ()


class Frame(NamedTuple):
    """Pictures that are shown from a step on."""

    step: float
    pictures: Sequence[Picture]
    captions: Sequence[str] = ()


@dataclass(frozen=True)
class Timeline:
    """What is played over ascending ``steps``; ``points`` appear at their step.

    Attributes:
        frames: Pictures from a step on, by step; ``frame_title`` stands before that step.
        wide: Pictures in a row; 0 for about as many as there are rows.
        pictures: What the points show (``Point.picture``).
        caption: One line on what this is.
        x: What a step is called.
    """

    steps: Sequence[float]
    charts: Sequence[Chart] = ()
    frames: Sequence[Frame] = ()
    points: Sequence[Point] = ()
    caption: str = ""
    pictures: Sequence[Picture] | Packed = field(default=())
    x: str = "iteration"
    frame_title: str = "Recovered images, iteration"
    map_title: str = "Map"
    wide: int = 0


def replay(timeline: Timeline, *, key: str, seconds: float = 20.0, autoplay: bool = False) -> None:
    """Draw the control and what it moves; all of it is played within ``seconds``, with ``autoplay`` at once.

    It stands at the end first. Where a reader asked for less motion, it does not begin by itself.
    """
    _mount(data=timeline_data(timeline) | {"seconds": max(0.5, seconds), "autoplay": autoplay}, key=key)


def timeline_data(timeline: Timeline) -> dict[str, Any]:
    """Return what the browser's half is told, as JSON can hold it.

    Raises:
        ValueError: There are no steps, or they do not ascend.
    """
    steps = [float(step) for step in timeline.steps]
    if not steps or any(b <= a for a, b in zip(steps[:-1], steps[1:], strict=True)):
        raise ValueError("a timeline needs ascending steps.")
    charts = [_chart(chart, timeline.x, steps[-1]) for chart in timeline.charts]
    every = [picture for frame in timeline.frames for picture in frame.pictures]
    most = max((len(frame.pictures) for frame in timeline.frames), default=0)
    captioned = any(frame.captions for frame in timeline.frames)
    wide = timeline.wide or _row(most)
    shown_side = max(16, min(96, PANE // max(1, -(-most // wide)) - GAP - CAPTION * captioned))
    sheet, side = packed(every, shown_side)
    frames, first = [], 0
    for frame in timeline.frames:
        count = len(frame.pictures)
        frames.append({"step": number(frame.step, 9), "first": first, "count": count, "captions": list(frame.captions)})
        first += count
    points = map_data(timeline.points, pictures=timeline.pictures, alt=timeline.map_title)
    told = {
        "steps": [number(step, 9) for step in steps],
        "charts": charts,
        "frames": frames,
        "sheet": sheet.told(shown_side, side),
        "most": most,
        "wide": wide,
        "cell": shown_side,
        "captioned": captioned,
        "map": points,
        "caption": timeline.caption,
        "x": timeline.x,
        "frameTitle": timeline.frame_title,
        "mapTitle": timeline.map_title,
    }
    titles = [chart.title for chart in timeline.charts]
    return told | {"id": mark_of(told["steps"], titles, timeline.caption, sheet.url)}


def _row(most: int) -> int:
    """Return how many pictures stand in a row: a little more than there are rows, all rows full if that can be."""
    wanted = max(1, round((most * 1.3) ** 0.5))
    return next(
        (wide for wide in (wanted, wanted - 1, wanted + 1, wanted + 2) if wide > 0 and most % wide == 0), wanted
    )


def _chart(chart: Chart, x: str, until: float) -> dict[str, Any]:
    names = ", ".join(dict.fromkeys(line.name for line in chart.lines))
    look = {"percent": chart.percent, "log": chart.log, "levels": chart.levels, "marks": chart.marks}
    data = chart_data(
        chart.lines, x=x, y=chart.y or chart.title.lower(), alt=f"{chart.title} over {x}: {names}", **look
    )
    return data | {"title": chart.title, "until": number(until)}
