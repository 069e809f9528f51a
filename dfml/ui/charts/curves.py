"""Figure builders: numbers in, a plotly figure out; no streamlit, no files, so that each can be tested.

Every axis is named. Series differ in colour and in dash or marker. Accuracies come as fractions in
[0, 1] and are shown in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dfml.ui.charts.curve_math import MAX_POINTS, Curve, calm_range, downsample, log_ticks, mean_window, running_mean
from dfml.ui.charts.name_axis import name_axis
from dfml.ui.widgets.theme import LIGHT, Palette, translucent

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step of a run."""

    step: int
    text: str


def _figure(palette: Palette, *, x: str, y: str, height: int = 280, percent: bool = False) -> go.Figure:
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
    marks_name: str = "adversarial step",
    places: Mapping[str, int] | None = None,
    palette: Palette = LIGHT,
    height: int = 280,
) -> go.Figure:
    """Curves over the iterations of a run, or of several runs.

    Args:
        series: Name and curve.
        y: What the vertical axis shows.
        x: What the horizontal axis shows.
        percent: Values are fractions, shown in per cent.
        log: Logarithmic vertical axis, where every value is above zero.
        smooth: Dense curves are drawn faintly, with their running mean upon them.
        band: Half-width of the interval around each point of the series of that name.
        marks: Events, set as diamonds upon the first curve, or its running mean.
        marks_name: What the marks are called in the legend.
        places: Which colour of the palette a series takes; by default they are dealt out in order.
        palette: Colours of the theme.
        height: Pixels.
    """
    figure = _figure(palette, x=x, y=y, percent=percent, height=height)
    hover = "%{y:.1%}" if percent else "%{y:.4g}"
    for position, (name, (steps, values)) in enumerate(series.items()):
        place = (places or {}).get(name, position)
        colour = palette.series[place % len(palette.series)]
        halves = (band or {}).get(name)
        if halves:
            _add_band(figure, steps, values, halves, colour, percent)
        window = mean_window(len(steps)) if smooth else 1
        if window > 1:
            _add_faint(figure, steps, values, colour)
            values = running_mean(values, window)
        if position == 0:
            marked = (steps, values)
        steps, values = downsample(steps, values)
        sparse = len(steps) <= 40
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=values,
                name=name,
                mode="lines+markers" if sparse else "lines",
                line={"color": colour, "width": 2, "dash": DASHES[place % len(DASHES)]},
                marker={"size": 5, "color": colour},
                hovertemplate=hover,
            )
        )
    if marks and series:
        _add_marks(figure, marked, marks, marks_name, palette)
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


def _add_faint(figure: go.Figure, steps: Sequence[float], values: Sequence[float], colour: str) -> None:
    steps, values = downsample(steps, values)
    line = {"color": translucent(colour, 0.3), "width": 1}
    figure.add_trace(go.Scatter(x=steps, y=values, mode="lines", line=line, showlegend=False, hoverinfo="skip"))


def _add_band(
    figure: go.Figure,
    steps: Sequence[float],
    values: Sequence[float],
    halves: Sequence[float],
    colour: str,
    percent: bool,
) -> None:
    count = min(len(steps), len(halves))
    stride = max(1, -(-count // (MAX_POINTS // 2)))
    rows = [(steps[i], values[i], halves[i]) for i in range(0, count, stride)]
    top = 1.0 if percent else float("inf")
    upper = [min(top, value + half) for _, value, half in rows]
    lower = [max(0.0, value - half) if percent else value - half for _, value, half in rows]
    outline = [step for step, _, _ in rows]
    figure.add_trace(
        go.Scatter(
            x=outline + outline[::-1],
            y=upper + lower[::-1],
            fill="toself",
            mode="lines",
            line={"width": 0},
            fillcolor=translucent(colour, 0.22),
            name="95 % interval",
            hoverinfo="skip",
        )
    )


def _add_marks(figure: go.Figure, curve: Curve, marks: Sequence[Mark], name: str, palette: Palette) -> None:
    steps, values = curve
    if not steps:
        return
    positions, texts = [], []
    heights = []
    cursor = 0
    for mark in sorted(marks, key=lambda item: item.step)[-MAX_POINTS:]:
        while cursor + 1 < len(steps) and steps[cursor + 1] <= mark.step:
            cursor += 1
        positions.append(mark.step)
        heights.append(values[cursor])
        texts.append(mark.text)
    figure.add_trace(
        go.Scatter(
            x=positions,
            y=heights,
            text=texts,
            name=name,
            mode="markers",
            marker={
                "symbol": "diamond",
                "size": 10,
                "color": palette.series[1],
                "line": {"color": palette.text, "width": 1},
            },
            hovertemplate="%{text}",
        )
    )


def accuracy_histogram(accuracies: Sequence[float], *, palette: Palette = LIGHT, height: int = 260) -> go.Figure:
    """How many teachers reach which held-out accuracy; a dashed line marks the mean."""
    figure = _figure(palette, x="held-out accuracy", y="teachers", height=height)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(rangemode="tozero", tickformat="d", dtick=1 if len(accuracies) <= 8 else None)
    if accuracies:
        low, high = min(accuracies), max(accuracies)
        # Whole per cents: fine where teachers lie close together, coarse where they spread.
        width = 0.01 if high - low < 0.15 else 0.02 if high - low < 0.4 else 0.05
        bins = {"start": int(low / width) * width, "end": high + width, "size": width}
        figure.add_trace(
            go.Histogram(
                x=list(accuracies),
                xbins=bins,
                marker={"color": palette.series[0], "line": {"width": 1, "color": palette.quiet}},
                hovertemplate="%{x}: %{y} teachers<extra></extra>",
            )
        )
        mean = sum(accuracies) / len(accuracies)
        figure.add_vline(
            x=mean,
            line={"color": palette.series[1], "dash": "dash", "width": 2},
            annotation={"text": f"mean {mean:.1%}", "font": {"color": palette.text}, "yanchor": "bottom"},
            annotation_position="top",
        )
    figure.update_layout(showlegend=False, bargap=0.04, hovermode="closest", margin_t=28)
    return figure


def class_coverage(counts: Sequence[tuple[str, int]], *, palette: Palette = LIGHT) -> go.Figure:
    """In how many teachers each class occurs: one bar a class, in the given order from the top."""
    names, values = [name for name, _ in counts], [count for _, count in counts]
    figure = _figure(palette, x="teachers that know the class", y="", height=44 + 18 * max(3, len(names)))
    figure.add_trace(
        go.Bar(
            x=values,
            y=name_axis(figure, "y", names, autorange="reversed", tickfont_size=11, showgrid=False),
            orientation="h",
            marker_color=palette.series[0],
            hovertemplate="%{y}: %{x} teachers<extra></extra>",
        )
    )
    figure.update_xaxes(rangemode="tozero", tickformat="d", side="top")
    if max(values, default=0) <= 8:
        figure.update_xaxes(dtick=1)  # else 0.5 and 1.5 stand there, rounded
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0.25)
    return figure


def steps_accuracy(
    support: Sequence[float], query: Sequence[float] | None, *, chance: float, palette: Palette = LIGHT
) -> go.Figure:
    """Accuracy before adapting (step 0) and after each inner step.

    Args:
        support: On the support pictures, fractions.
        query: On the query pictures whose class is known, or None.
        chance: What guessing gives, a fraction; drawn as a line.
        palette: Colours of the theme.
    """
    series: dict[str, Curve] = {"support pictures": (range(len(support)), support)}
    if query:
        series["query pictures"] = (range(len(query)), query)
    figure = curves(series, x="inner step", y="accuracy", percent=True, palette=palette, height=260)
    figure.update_yaxes(range=[-0.03, 1.05])
    figure.update_xaxes(dtick=1 if len(support) <= 12 else None, tickformat="d")
    figure.add_hline(
        chance, line={"dash": "dot", "width": 1, "color": palette.text}, annotation_text=f"guessing: {chance:.0%}",
        annotation_position="bottom right", annotation_font_color=palette.text,
    )  # fmt: skip
    figure.update_layout(showlegend=True)
    return figure
