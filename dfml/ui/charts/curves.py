"""Curves: numbers in, a plotly figure out; no files, as of all figures, so that each can be tested.

Every axis is named. Series differ in colour and in dash or marker. Accuracies come as fractions in [0, 1] and are
shown in per cent. ``.streamlit/config.toml`` holds the same colours for everything that Streamlit draws itself.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dfml.runs.metrics import NoteLine
from dfml.ui.charts.thinning import DENSE, MAX_POINTS, Curve, chosen_points, running_mean

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


class Palette(NamedTuple):
    """Colours of one theme, as ``#rrggbb``: of series (for every kind of colour vision), of text, of grid lines."""

    series: tuple[str, ...]
    text: str
    quiet: str


LIGHT = Palette(("#0072b2", "#cf3500", "#06595b", "#da6583", "#5f2c00", "#2a8fff"), text="#10151d", quiet="#d9dee6")
DARK = Palette(("#56b4e9", "#e4a151", "#1b8f68", "#e0c6d2", "#f3ff38", "#395eff"), text="#e8ecf2", quiet="#343d4b")


def palette() -> Palette:
    """Return the palette of the theme that the browser shows now."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def translucent(colour: str, opacity: float) -> str:
    """Return ``#rrggbb`` as an ``rgba`` of the given opacity in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def blank(*, x: str, y: str, height: int = 280, percent: bool = False) -> go.Figure:
    """Return a figure without traces in the app's look, whose axes are named ``x`` and ``y``; ``height`` in pixels."""
    figure, colours = go.Figure(), palette()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font_color=colours.text,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="x unified",
        # A constant revision keeps the reader's zoom while new points arrive.
        uirevision="keep",
        showlegend=True,
    )
    figure.update_xaxes(title_text=x, gridcolor=colours.quiet, zeroline=False, automargin=True)
    figure.update_yaxes(title_text=y, gridcolor=colours.quiet, zeroline=False, automargin=True)
    if percent:
        figure.update_yaxes(tickformat=".0%")
    return figure


def curves(
    series: Mapping[str, Curve],
    *,
    y: str,
    x: str = "iteration",
    percent: bool = False,
    log: bool = False,
    smooth: bool = False,
    band: Mapping[str, Sequence[float]] | None = None,
    marks: Sequence[NoteLine] = (),
    places: Mapping[str, int] | None = None,
    height: int = 280,
) -> go.Figure:
    """Draw curves by their names; values are fractions with ``percent``, and ``log`` works where all are above zero.

    ``smooth`` draws dense curves faintly, under their running mean. ``band`` has half-widths of the interval around
    each point of a series. ``marks`` are adversarial steps, set as diamonds upon the first curve (or its running
    mean). ``places`` says which colour a series takes; by default they come in order.
    """
    figure = blank(x=x, y=y, percent=percent, height=height)
    colours = palette().series
    for position, (name, (steps, values)) in enumerate(series.items()):
        place = (places or {}).get(name, position)
        colour = colours[place % len(colours)]
        if band and name in band:
            _add_band(figure, (steps, values), band[name], colour, percent)
        window = len(steps) // 40 if smooth and len(steps) > DENSE else 1
        if window > 1:
            x_faint, y_faint = downsample(steps, values)
            line = {"color": translucent(colour, 0.3), "width": 1}
            faint = {"mode": "lines", "line": line, "showlegend": False, "hoverinfo": "skip"}
            figure.add_trace(go.Scatter(x=x_faint, y=y_faint, **faint))
            values = running_mean(values, window)
        if position == 0:
            marked = (steps, values)
        steps, values = downsample(steps, values)
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=values,
                name=name,
                mode="lines+markers" if len(steps) <= 40 else "lines",
                line={"color": colour, "width": 2, "dash": DASHES[place % len(DASHES)]},
                marker={"size": 5, "color": colour},
                hovertemplate="%{y:.1%}" if percent else "%{y:.4g}",
            )
        )
    if marks and series:
        _add_marks(figure, marked, marks)
    every = [value for _, values in series.values() for value in values]
    if log and every and min(every) > 0:
        # Within two decades the powers of ten alone would leave the axis nearly without numbers: D2 adds 2 and 5.
        short = max(every) <= 100 * min(every)
        figure.update_yaxes(type="log", dtick="D2" if short else 1, tickformat="~g" if short else None)
    elif not band:
        figure.update_yaxes(range=calm_range(every, percent=percent))
    if all(steps[0] > 0 for steps, _ in series.values() if len(steps)):
        # All charts of a run begin at 0, also those whose first number came later.
        figure.update_xaxes(rangemode="tozero")
    figure.update_layout(showlegend=sum(trace.showlegend is not False for trace in cast(Any, figure.data)) > 1)
    return figure


def _add_band(figure: go.Figure, curve: Curve, halves: Sequence[float], colour: str, percent: bool) -> None:
    count = min(len(curve[0]), len(halves))
    stride = max(1, -(-count // (MAX_POINTS // 2)))
    steps, values, half = (np.array(part[:count:stride], dtype=float) for part in (*curve, halves))
    edge = np.concatenate([values + half, (values - half)[::-1]])
    look = {"fill": "toself", "mode": "lines", "line": {"width": 0}, "fillcolor": translucent(colour, 0.22)}
    around = {"x": np.concatenate([steps, steps[::-1]]), "y": edge.clip(0, 1) if percent else edge}
    figure.add_trace(go.Scatter(**around, **look, name="95 % interval", hoverinfo="skip"))


def _add_marks(figure: go.Figure, curve: Curve, marks: Sequence[NoteLine]) -> None:
    steps, values = curve
    if not steps:
        return
    shown = sorted(marks, key=lambda mark: mark.step)[-MAX_POINTS:]
    colours = palette()
    line = {"color": colours.text, "width": 1}
    figure.add_trace(
        go.Scatter(
            x=[mark.step for mark in shown],
            # The height of the last point before it, or of the first.
            y=[values[max(0, bisect_right(steps, mark.step) - 1)] for mark in shown],
            text=[mark.text for mark in shown],
            name="adversarial step",
            mode="markers",
            marker={"symbol": "diamond", "size": 10, "color": colours.series[1], "line": line},
            hovertemplate="%{text}",
        )
    )


def downsample(steps: Sequence[float], values: Sequence[float]) -> Curve:
    """Thin a curve to at most ``MAX_POINTS`` points, keeping its ends and the extremes in between."""
    chosen = chosen_points(values)
    return [steps[i] for i in chosen], [values[i] for i in chosen]


def calm_range(values: Sequence[float], *, percent: bool = False) -> tuple[float, float] | None:
    """Return both ends of an axis for values that hardly differ, which would look as if they jumped.

    The ends are 5 points (of fractions) or a thousandth of the value apart; None where the values differ by as much.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    span = 0.05 if percent else max(abs(low), abs(high)) / 1000
    if high - low >= span or not span:
        return None
    low = (low + high - span) / 2
    if percent:
        low = min(max(low, 0.0), 1.0 - span)
    # A little room, so that a line on the edge is seen whole.
    return low - span / 20, low + span * 1.05
