"""Bars with intervals, from zero to either side, drawn by the browser: accuracies, or differences of accuracies."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfml.ui.components.line_chart import Level
from dfml.ui.components.mounting import component, number
from dfml.ui.widgets.texts import percent

_mount = component("accuracy_bars", Path(__file__).parent, ("base",))


class Bar(NamedTuple):
    """One bar; values are fractions.

    ``half`` is the half width of its interval, ``dots`` are single values that it is the mean of. ``value`` None
    leaves the bar out: then ``told`` says why. ``note`` is a quiet word beside the name. ``recorded`` bars are hatched.
    """

    name: str
    value: float | None
    half: float | None = None
    told: str = ""
    note: str = ""
    dots: Sequence[float] = ()
    recorded: bool = False


def accuracy_bars(
    bars: Sequence[Bar], *, key: str, alt: str, levels: Sequence[Level] = (), points: bool = False
) -> None:
    """Draw bars below each other, the words of each beside it; ``levels`` are dashed lines across all of them.

    The axis is in per cent, or in percentage points with ``points``.
    """
    if bars:
        _mount(data={**bars_data(bars, alt=alt, levels=levels), "points": points}, key=key)


def bars_data(bars: Sequence[Bar], *, alt: str, levels: Sequence[Level] = ()) -> dict[str, Any]:
    """Return what the browser's half is told, as JSON can hold it; the axis has zero on it and room for all ends.

    Levels that would be written alike are one line, which has all their names.
    """
    alike: dict[str, list[Level]] = {}
    for level in levels:
        alike.setdefault(percent(level.value), []).append(level)
    levels = [Level("; ".join(dict.fromkeys(one.name for one in found)), found[0].value) for found in alike.values()]
    ends = [level.value for level in levels]
    for bar in bars:
        if bar.value is not None:
            ends += [bar.value - (bar.half or 0), bar.value + (bar.half or 0), *bar.dots]
    step = _step(max([0.0, *ends]) - min([0.0, *ends]))
    return {
        "bars": [{**bar._asdict(), "value": number(bar.value), "half": number(bar.half)} for bar in bars],
        "levels": [level._asdict() for level in levels],
        "low": math.floor(min([0.0, *ends]) / step + 1e-9) * step,
        "high": math.ceil(max([step, *ends]) / step - 1e-9) * step,
        "step": step,
        "alt": alt,
    }


def _step(span: float) -> float:
    """The distance of the axis's numbers: at most six of them, 1, 2 or 5 of some digit apart."""
    rough = max(span, 0.005) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= rough * 0.999)
