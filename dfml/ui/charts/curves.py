"""Curves: numbers in, a plotly figure out; no streamlit, no files, as of all figures, so that each can be tested.

Every axis is named. Series differ in colour and in dash or marker. Accuracies come as fractions in
[0, 1] and are shown in per cent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dfml.ui.charts.curve_math import MAX_POINTS, Curve, calm_range, downsample, log_ticks, mean_window, running_mean
from dfml.ui.widgets.theme import LIGHT, Palette, translucent

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step of a run."""

    step: int
    text: str


def blank(palette: Palette, *, x: str, y: str, height: int = 280, percent: bool = False) -> go.Figure:
    """A figure without traces in the app's look, whose axes are named ``x`` and ``y``; ``height`` in pixels."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font_color=palette.text,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="x unified",
        # A constant revision keeps the reader's zoom while new points arrive.
        uirevision="keep",
        showlegend=True,
    )
    figure.update_xaxes(title_text=x, gridcolor=palette.quiet, zeroline=False, automargin=True)
    figure.update_yaxes(title_text=y, gridcolor=palette.quiet, zeroline=False, automargin=True)
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
    marks: Sequence[Mark] = (),
    places: Mapping[str, int] | None = None,
    palette: Palette = LIGHT,
    height: int = 280,
) -> go.Figure:
    """Curves over the iterations of a run, or of several runs, by their names.

    Args:
        series: Name and curve.
        y: What the vertical axis shows.
        x: What the horizontal axis shows.
        percent: Values are fractions, shown in per cent.
        log: Logarithmic vertical axis, where every value is above zero.
        smooth: Dense curves are drawn faintly, with their running mean upon them.
        band: Half-width of the interval around each point of the series of that name.
        marks: Adversarial steps, set as diamonds upon the first curve, or its running mean.
        places: Which colour of the palette a series takes; by default they are dealt out in order.
        palette: Colours of the theme.
        height: Pixels.
    """
    figure = blank(palette, x=x, y=y, percent=percent, height=height)
    hover = "%{y:.1%}" if percent else "%{y:.4g}"
    for position, (name, (steps, values)) in enumerate(series.items()):
        place = (places or {}).get(name, position)
        colour = palette.series[place % len(palette.series)]
        if band and name in band:
            _add_band(figure, (steps, values), band[name], colour, percent)
        window = mean_window(len(steps)) if smooth else 1
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
                hovertemplate=hover,
            )
        )
    if marks and series:
        _add_marks(figure, marked, marks, palette)
    every = [value for _, values in series.values() for value in values]
    if log and every and min(every) > 0:
        # Within two decades the powers of ten alone would leave the axis nearly without numbers.
        short = max(every) <= 100 * min(every)
        figure.update_yaxes(type="log", dtick=None if short else 1)
        if short:
            figure.update_yaxes(tickmode="array", tickvals=log_ticks(min(every), max(every)), tickformat="~g")
    elif not band:
        figure.update_yaxes(range=calm_range(every, percent=percent))
    if all(steps[0] > 0 for steps, _ in series.values() if len(steps)):
        # All charts of a run begin at 0, also those whose first number came later.
        figure.update_xaxes(rangemode="tozero")
    figure.update_layout(showlegend=sum(trace.showlegend is not False for trace in figure.data) > 1)
    return figure


def _add_band(figure: go.Figure, curve: Curve, halves: Sequence[float], colour: str, percent: bool) -> None:
    count = min(len(curve[0]), len(halves))
    stride = max(1, -(-count // (MAX_POINTS // 2)))
    rows = [(curve[0][i], curve[1][i], halves[i]) for i in range(0, count, stride)]
    low, top = (0.0, 1.0) if percent else (float("-inf"), float("inf"))
    upper = [min(top, value + half) for _, value, half in rows]
    lower = [max(low, value - half) for _, value, half in rows]
    outline = [step for step, _, _ in rows]
    look = {"fill": "toself", "mode": "lines", "line": {"width": 0}, "fillcolor": translucent(colour, 0.22)}
    edge = {"x": outline + outline[::-1], "y": upper + lower[::-1]}
    figure.add_trace(go.Scatter(**edge, **look, name="95 % interval", hoverinfo="skip"))


def _add_marks(figure: go.Figure, curve: Curve, marks: Sequence[Mark], palette: Palette) -> None:
    steps, values = curve
    if not steps:
        return
    shown = sorted(marks, key=lambda mark: mark.step)[-MAX_POINTS:]
    line = {"color": palette.text, "width": 1}
    figure.add_trace(
        go.Scatter(
            x=[mark.step for mark in shown],
            # The height of the last point before it, or of the first.
            y=[values[max(0, bisect_right(steps, mark.step) - 1)] for mark in shown],
            text=[mark.text for mark in shown],
            name="adversarial step",
            mode="markers",
            marker={"symbol": "diamond", "size": 10, "color": palette.series[1], "line": line},
            hovertemplate="%{text}",
        )
    )


def steps_accuracy(
    support: Sequence[float], query: Sequence[float] | None, *, chance: float, palette: Palette = LIGHT
) -> go.Figure:
    """Accuracy before adapting (step 0) and after each inner step, fractions in [0, 1].

    ``query`` is None where the classes are not known; ``chance`` is what guessing gives, drawn as a line.
    """
    series: dict[str, Curve] = {"support images": (range(len(support)), support)}
    if query:
        series["query images"] = (range(len(query)), query)
    figure = curves(series, x="inner step", y="accuracy", percent=True, palette=palette, height=260)
    figure.update_yaxes(range=[-0.03, 1.05])
    figure.update_xaxes(dtick=1 if len(support) <= 12 else None, tickformat="d")
    line = {"dash": "dot", "width": 1, "color": palette.text}
    label = {"annotation_text": f"guessing: {chance:.0%}", "annotation_position": "bottom right"}
    figure.add_hline(chance, line=line, annotation_font_color=palette.text, **label)
    figure.update_layout(showlegend=True)
    return figure
