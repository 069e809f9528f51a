"""Figures of bars: how good teachers are, what they know, how far they are relied on, how sure a model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dfml.ui.charts.curves import blank
from dfml.ui.charts.name_axis import name_axis
from dfml.ui.widgets.theme import LIGHT, Palette, translucent


def accuracy_histogram(accuracies: Sequence[float], *, palette: Palette = LIGHT) -> go.Figure:
    """How many teachers reach which held-out accuracy; a dashed line marks the mean."""
    figure = blank(palette, x="held-out accuracy", y="teachers", height=260)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(rangemode="tozero", tickformat="d", dtick=1 if len(accuracies) <= 8 else None)
    if accuracies:
        low, high = min(accuracies), max(accuracies)
        # Whole per cents: fine where teachers lie close together, coarse where they spread.
        width = 0.01 if high - low < 0.15 else 0.02 if high - low < 0.4 else 0.05
        figure.add_trace(
            go.Histogram(
                x=list(accuracies),
                xbins={"start": int(low / width) * width, "end": high + width, "size": width},
                marker={"color": palette.series[0], "line": {"width": 1, "color": palette.quiet}},
                hovertemplate="%{x}: %{y} teachers<extra></extra>",
            )
        )
        mean = sum(accuracies) / len(accuracies)
        _mark_value(figure, mean, f"mean {mean:.1%}", palette)
    figure.update_layout(showlegend=False, bargap=0.04, hovermode="closest", margin_t=28)
    return figure


def class_coverage(counts: Sequence[tuple[str, int]], *, palette: Palette = LIGHT) -> go.Figure:
    """In how many teachers each class occurs: one bar per class, in the given order from the top."""
    names, values = [name for name, _ in counts], [count for _, count in counts]
    figure = blank(palette, x="teachers that know the class", y="", height=44 + 18 * max(3, len(names)))
    _bars(figure, names, values, marker_color=palette.series[0], hovertemplate="%{y}: %{x} teachers<extra></extra>")
    figure.update_xaxes(rangemode="tozero", tickformat="d", side="top")
    figure.update_yaxes(tickfont_size=11)
    if max(values, default=0) <= 8:
        figure.update_xaxes(dtick=1)  # else 0.5 and 1.5 stand there, rounded
    figure.update_layout(bargap=0.25)
    return figure


def teacher_policy_bars(weights: Mapping[str, float], *, palette: Palette = LIGHT) -> go.Figure:
    """One bar per teacher with its probability to be asked next; a dashed line marks the even weight."""
    values, even = list(weights.values()), 1 / len(weights)
    figure = blank(palette, x="weight", y="teacher", height=90 + 22 * len(values))
    _bars(
        figure,
        list(weights),
        values,
        # Weight is told by length and number; the shade only helps the eye to find the even weight.
        marker_color=[palette.series[0] if v >= even else translucent(palette.series[0], 0.45) for v in values],
        text=[f"{value:.1%}" for value in values],
        hovertemplate="teacher %{y}: %{x:.2%}<extra></extra>",
    )
    _mark_value(figure, even, f"even {even:.1%}", palette)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.18 * max(values)])
    figure.update_layout(margin_t=28)
    return figure


def confidence_bars(
    classes: Sequence[str],
    probabilities: Sequence[float],
    *,
    truth: str | None = None,
    before: Sequence[float] | None = None,
    palette: Palette = LIGHT,
) -> go.Figure:
    """A model's probability for each class, highest first, each bar with its number.

    Args:
        classes: Class names.
        probabilities: One per class, in [0, 1].
        truth: The image's own class, marked in the labels, where it is known.
        before: The probabilities before something happened, set as diamonds.
        palette: Colours of the theme.
    """
    order = sorted(range(len(classes)), key=lambda i: -probabilities[i])
    values = [probabilities[i] for i in order]
    figure = blank(palette, x="", y="", height=16 + 22 * len(order))
    keys = _bars(
        figure,
        [classes[i] + " (true)" * (classes[i] == truth) for i in order],
        values,
        marker_color=[palette.series[0]] + [translucent(palette.series[0], 0.4)] * (len(order) - 1),
        text=[f"{value:.0%}" for value in values] if before is None else None,
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    if before is not None:
        # Diamonds where bars ended, and both numbers in a column of their own, so that nothing covers them.
        old = [before[i] for i in order]
        diamond = {"symbol": "diamond-open", "size": 7, "color": palette.series[1], "line": {"width": 2}}
        hover = "before: %{x:.1%}<extra></extra>"
        figure.add_trace(go.Scatter(x=old, y=keys, mode="markers", marker=diamond, hovertemplate=hover))
        both = [f"{a:.0%} → {b:.0%}" for a, b in zip(old, values, strict=True)]
        beside = {"mode": "text", "textposition": "middle right", "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=[1.12] * len(keys), y=keys, text=both, **beside))
    # Room for the number beside a full bar, also where the page is narrow.
    figure.update_xaxes(range=[0, 1.45 if before is None else 2.2], visible=False)
    figure.update_layout(margin={"l": 4, "r": 4, "t": 2, "b": 2})
    return figure


def _bars(figure: go.Figure, names: Sequence[str], values: Sequence[float], **look: Any) -> list[str]:  # noqa: ANN401 - as plotly's
    """Add a bar per name, from the top, each with its text beside it; returns the names as the axis has them."""
    keys = name_axis(figure, "y", names, autorange="reversed", showgrid=False)
    figure.add_trace(go.Bar(x=values, y=keys, orientation="h", textposition="outside", cliponaxis=False, **look))
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0.3)
    return keys


def _mark_value(figure: go.Figure, x: float, text: str, palette: Palette) -> None:
    """Add a dashed vertical line with its words above."""
    figure.add_vline(
        x=x,
        line={"color": palette.series[1], "dash": "dash", "width": 2},
        annotation={"text": text, "font": {"color": palette.text}, "yanchor": "bottom"},
        annotation_position="top",
    )
