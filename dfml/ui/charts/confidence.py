"""A model's confidences as bars, and what they were before something happened."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dfml.ui.charts.curves import curves
from dfml.ui.charts.name_axis import name_axis
from dfml.ui.widgets.theme import LIGHT, Palette, translucent


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
        probabilities: One a class, in [0, 1].
        truth: The picture's own class, marked in the labels, where it is known.
        before: The probabilities that it had before something happened, set as diamonds.
        palette: Colours of the theme.
    """
    order = sorted(range(len(classes)), key=lambda i: -probabilities[i])
    names = [classes[i] + " (true)" * (classes[i] == truth) for i in order]
    values = [probabilities[i] for i in order]
    colours = [palette.series[0]] + [translucent(palette.series[0], 0.4)] * (len(order) - 1)
    figure = curves({}, x="", y="", palette=palette, height=16 + 22 * len(order))
    names = name_axis(figure, "y", names, autorange="reversed", showgrid=False)
    figure.add_trace(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=colours,
            text=[f"{value:.0%}" for value in values] if before is None else None,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    if before is not None:
        _add_before(figure, names, [before[i] for i in order], values, palette)
    # Room for the number beside a full bar, also where the page is narrow.
    figure.update_xaxes(range=[0, 1.45 if before is None else 2.2], visible=False)
    figure.update_layout(showlegend=False, hovermode="closest", margin={"l": 4, "r": 4, "t": 2, "b": 2}, bargap=0.3)
    return figure


def _add_before(figure: go.Figure, names: list[str], before: list[float], after: list[float], palette: Palette) -> None:
    """Diamonds where bars ended before, and both numbers in a column of their own, so that nothing covers them."""
    figure.add_trace(
        go.Scatter(
            x=before,
            y=names,
            mode="markers",
            marker={"symbol": "diamond-open", "size": 7, "color": palette.series[1], "line": {"width": 2}},
            hovertemplate="before: %{x:.1%}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[1.12] * len(names),
            y=names,
            mode="text",
            text=[f"{old:.0%} → {new:.0%}" for old, new in zip(before, after, strict=True)],
            textposition="middle right",
            hoverinfo="skip",
        )
    )
