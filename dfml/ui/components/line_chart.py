"""A chart of curves over steps that changes in place: it never fades, blinks or loses what its reader points at."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dfml.ui.charts.thinning import DENSE, chosen_points, running_mean
from dfml.ui.components.mounting import Prepared, component, number, numbers, prepared

_mount = component("line_chart")


class Line(NamedTuple):
    """One curve: as many values as steps, steps ascending.

    ``band`` has the half-width of an interval around each point. A ``faint`` line has the colour of the line of the
    same name, and neither legend nor hover. Values that are None or not finite leave a gap.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float | None]
    band: Sequence[float | None] | None = None
    faint: bool = False


class Level(NamedTuple):
    """A dashed horizontal line with its words."""

    name: str
    value: float


class Mark(NamedTuple):
    """A diamond upon the first line, with words that show when it is pointed at."""

    step: float
    text: str


def line_chart(
    series: Sequence[Line],
    *,
    key: str,
    y: str,
    alt: str,
    x: str = "iteration",
    percent: bool = False,
    log: bool = False,
    levels: Sequence[Level] = (),
    marks: Sequence[Mark] = (),
    cursor: float | None = None,
    until: float | None = None,
    height: int = 280,
) -> None:
    """Draw curves whose axes are named ``x`` and ``y``; ``alt`` says what they show.

    Values are fractions in [0, 1] with ``percent``; ``log`` works where all are above zero. What lies behind the step
    ``cursor`` is faint. The horizontal axis reaches ``until``, if given. ``height`` is that of everything, in pixels.
    """
    data = chart_data(series, x=x, y=y, alt=alt, percent=percent, log=log, levels=levels, marks=marks)
    data |= {"cursor": number(cursor), "until": number(until), "height": height}
    _mount(data=data, key=key, height=height)


def prepared_chart(
    series: Sequence[Line],
    *,
    until: float | None = None,
    height: int = 280,
    **look: Any,  # noqa: ANN401
) -> Prepared:
    """Return a chart that many will look at; the arguments are those of ``line_chart`` and ``chart_data``."""
    return prepared(_mount, chart_data(series, **look) | {"until": number(until), "height": height}, height)


def chart_data(
    series: Sequence[Line],
    *,
    x: str,
    y: str,
    alt: str,
    percent: bool = False,
    log: bool = False,
    levels: Sequence[Level] = (),
    marks: Sequence[Mark] = (),
) -> dict[str, Any]:
    """Return what the browser's half is told, as JSON can hold it; curves are thinned to what can be seen."""
    lines = [_thinned(line) for line in series if len(line.steps)]
    whole = all(step is not None and step == int(step) for line in lines for step in line["steps"])
    return {
        "lines": lines,
        "levels": [
            {"name": level.name, "value": value} for level in levels if (value := number(level.value)) is not None
        ],
        "marks": [{"step": number(mark.step), "text": mark.text} for mark in list(marks)[-500:]],
        "x": x,
        "y": y,
        "percent": percent,
        "log": log,
        "whole": whole,
        "alt": alt,
        "none": "no numbers yet",
        "cursor": None,
        "until": None,
    }


def smoothed(name: str, steps: Sequence[float], values: Sequence[float]) -> list[Line]:
    """Return the curve; one of many points as faint line under its running mean."""
    if len(steps) <= DENSE:
        return [Line(name, steps, values)]
    return [Line(name, steps, values, faint=True), Line(name, steps, running_mean(values, len(steps) // 40))]


def _thinned(line: Line) -> dict[str, Any]:
    count = min(len(line.steps), len(line.values))
    values = numbers(line.values[:count])
    chosen = chosen_points([float("nan") if value is None else value for value in values])
    band = None if line.band is None else numbers([*line.band, *[None] * count][:count])
    return {
        "name": line.name,
        "steps": [number(line.steps[i], 9) for i in chosen],
        "values": [values[i] for i in chosen],
        "band": None if band is None else [band[i] for i in chosen],
        "faint": line.faint,
    }
