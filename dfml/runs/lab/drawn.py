"""Curves and bars as SVG for a page that stands alone: no library, no script, every word escaped."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from dfml.runs.lab.results import Setting

Points = tuple[Sequence[float], Sequence[float]]
"""Steps and values, of equal length."""
MOST_POINTS = 500
SERIES = 6
"""Series that have a colour and a dash of their own; see ``STYLE``."""
WIDE, HIGH, LEFT, RIGHT, TOP, FOOT = 460, 230, 58, 12, 10, 36
BAR, VALUE, ROW, MOST_LETTERS = 330, 96, 26, 34
# Those of the app, in both schemes.
LIGHT = ("#0072b2", "#cf3500", "#06595b", "#da6583", "#5f2c00", "#2a8fff")
DARK = ("#56b4e9", "#e4a151", "#1b8f68", "#e0c6d2", "#f3ff38", "#395eff")
DASHES = ("none", "7 4", "2 3", "9 3 2 3", "12 4", "4 2")


def _each_series(colours: Sequence[str]) -> str:
    return " ".join(f".s{i} {{ stroke: {colour} }} .d{i} {{ fill: {colour} }}" for i, colour in enumerate(colours))


STYLE = f"""
svg {{ max-width: 100%; height: auto; font: 12px system-ui, sans-serif }}
svg text {{ fill: currentColor }} .grid {{ stroke: #8c959f; stroke-opacity: .4 }}
.line {{ fill: none; stroke-width: 2 }} .level {{ stroke: currentColor; stroke-dasharray: 4 4; fill: none }}
.mark {{ stroke: currentColor; stroke-width: 1.6; fill: none }} .seed {{ fill: currentColor; fill-opacity: .65 }}
{" ".join(f".s{i} {{ stroke-dasharray: {dash} }}" for i, dash in enumerate(DASHES))}
{_each_series(LIGHT)}
@media (prefers-color-scheme: dark) {{ {_each_series(DARK)} }}
@media print {{ {_each_series(LIGHT)} }}
"""


def curves_drawing(series: Mapping[str, Points], title: str, *, percent: bool = False) -> str:
    """Return a chart of curves over iterations; points that are not finite are left out, and series beyond the sixth.

    ``percent``: values are fractions.
    """
    kept = {name: _thinned(_finite(points)) for name, points in list(series.items())[:SERIES]}
    if not any(kept.values()):
        return ""
    every = [point for points in kept.values() for point in points]
    x_low, x_high = _span([x for x, _ in every])
    y_low, y_high = _span([y for _, y in every])
    across, down = WIDE - LEFT - RIGHT, HIGH - TOP - FOOT

    def place(x: float, y: float) -> str:
        return (
            f"{LEFT + (x - x_low) / (x_high - x_low) * across:.1f} {TOP + (y_high - y) / (y_high - y_low) * down:.1f}"
        )

    parts = []
    for value in _ticks(y_low, y_high, 5):
        y = TOP + (y_high - value) / (y_high - y_low) * down
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDE - RIGHT}" y2="{y:.1f}"/>')
        shown = f"{100 * value:.3g} %" if percent else f"{value:.4g}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>')
    for value in _ticks(x_low, x_high, 5):
        x = LEFT + (value - x_low) / (x_high - x_low) * across
        parts.append(f'<text x="{x:.1f}" y="{HIGH - FOOT + 16}" text-anchor="middle">{value:.6g}</text>')
    parts.append(f'<text x="{LEFT + across / 2:.0f}" y="{HIGH - 4}" text-anchor="middle">iteration</text>')
    for number, points in enumerate(kept.values()):  # also of those without: a series has one colour in all charts
        if len(points) == 1:
            x, y = place(*points[0]).split()
            parts.append(f'<circle class="d{number}" cx="{x}" cy="{y}" r="3.5"/>')
        elif points:
            parts.append(f'<path class="line s{number}" d="M{"L".join(place(*point) for point in points)}"/>')
    last = ", ".join(f"{name} {_worded(points[-1][1], percent)}" for name, points in kept.items() if points)
    told = f"{title} over iterations; last: {last}"
    return _document(WIDE, HIGH, told, parts)


def legend(names: Sequence[str | None]) -> str:
    """Return the names of the series of ``curves_drawing``, each with its line, as HTML; None for one left out."""
    sample = '<svg width="34" height="10" aria-hidden="true"><path class="line s{}" d="M1 5H33"/></svg> {}'
    shown = ((i, name) for i, name in enumerate(list(names)[:SERIES]) if name is not None)
    items = "".join(f"<li>{sample.format(i, escape(name))}</li>" for i, name in shown)
    return f'<ul class="legend">{items}</ul>'


def bars_drawing(settings: Sequence[Setting], title: str, *, guessing: float | None) -> str:
    """Return accuracies as bars with their intervals, seeds as dots, and what guessing gives as a dashed line."""
    names = [one.name if len(one.name) <= MOST_LETTERS else one.name[: MOST_LETTERS - 1] + "…" for one in settings]
    left = 14 + 7 * max(map(len, names), default=0)
    ends = [max([one.mean + (one.half or 0), *(test.row["accuracy"] for test in one.tests)]) for one in settings]
    top = min(1.0, math.ceil(10 * max([*ends, guessing or 0.1])) / 10)
    bottom = 8 + ROW * len(settings)
    parts = []
    for value in _ticks(0, top, 5):
        x = left + value / top * BAR
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{100 * value:.0f} %</text>')
    for row, (name, setting) in enumerate(zip(names, settings, strict=True)):
        y, end = 8 + ROW * row, left + setting.mean / top * BAR
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="d0" x="{left}" y="{y + 3}" width="{end - left:.1f}" height="{ROW - 9}">'
            f"<title>{escape(setting.name)}: {told_accuracy(setting.mean, setting.half)}</title></rect>"
        )
        if setting.half is not None:
            half, low, high = setting.half / top * BAR, y + 6, ROW - 15
            ends_at = (end - half, end + half)
            bars = "".join(f"M{x:.1f} {low}v{high}" for x in ends_at)
            parts.append(f'<path class="mark" d="M{ends_at[0]:.1f} {y + ROW / 2 - 1.5}H{ends_at[1]:.1f}{bars}"/>')
        if setting.over_seeds:
            for test in setting.tests:
                x = left + test.row["accuracy"] / top * BAR
                parts.append(f'<circle class="seed" cx="{x:.1f}" cy="{y + ROW - 4}" r="2.5"/>')
        told = told_accuracy(setting.mean, setting.half)
        parts.append(f'<text x="{left + BAR + VALUE}" y="{y + 15}" text-anchor="end">{told}</text>')
    if guessing:
        x = left + guessing / top * BAR
        parts.append(f'<path class="level" d="M{x:.1f} 4V{bottom}"/>')
    described = "; ".join(f"{one.name} {told_accuracy(one.mean, one.half)}" for one in settings)
    return _document(left + BAR + VALUE + 4, bottom + 22, f"{title}: {described}", parts)


def told_accuracy(value: float, half: float | None) -> str:
    """Return fractions as ``50.1 ± 1.2 %``."""
    return f"{100 * value:.1f}" + (f" ± {100 * half:.1f}" if half is not None else "") + " %"


def _document(width: int, height: int, told: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg {size} role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>'


def _worded(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.4g}"


def _finite(points: tuple[Sequence[float], Sequence[float | None]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(*points, strict=False) if y is not None and math.isfinite(y)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most ``MOST_POINTS``, with the lowest and the highest of each stretch."""
    if len(points) <= MOST_POINTS:
        return points
    each = -(-len(points) // (MOST_POINTS // 2 - 1))
    found = []
    for start in range(0, len(points), each):
        stretch = points[start : start + each]
        found += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return sorted({points[0], *found, points[-1]})


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high > low:
        return low, high
    around = abs(low) / 10 or 0.5
    return low - around, high + around


def _ticks(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * 0.999)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
