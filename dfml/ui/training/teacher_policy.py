"""How far a run relies on each teacher: bars that move while the weights are learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from dfml.core.names import natural
from dfml.runs.folder import RunFolder
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.name_axis import name_axis
from dfml.ui.runs.run_rows import plottable
from dfml.ui.widgets.metrics import percent
from dfml.ui.widgets.theme import LIGHT, Palette, palette, translucent

PREFIX = "reliability/"
MANY = 14
"""More bars than these scroll."""


def newest_weights(scalars: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> dict[str, float]:
    """The newest weight of each teacher, the largest first; empty for a run without any."""
    found = {
        name.removeprefix(PREFIX): values[-1]
        for name, (_, values) in scalars.items()
        if name.startswith(PREFIX) and len(values)
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], natural(item[0]))))


def teacher_policy_bars(weights: Mapping[str, float], *, palette: Palette = LIGHT) -> go.Figure:
    """One bar a teacher with its number, in the given order; a dashed line marks the even weight.

    Args:
        weights: Probabilities of the teachers to be asked next.
        palette: Colours of the theme.
    """
    names, values = list(weights), list(weights.values())
    even = 1 / len(names)
    figure = go.Figure()
    keys = name_axis(figure, "y", names, title_text="teacher", autorange="reversed", showgrid=False, automargin=True)
    figure.add_trace(
        go.Bar(
            x=values,
            y=keys,
            orientation="h",
            # Weight is told by length and number; the shade only helps the eye to find the even weight.
            marker_color=[palette.series[0] if v >= even else translucent(palette.series[0], 0.45) for v in values],
            text=[f"{value:.1%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="teacher %{y}: %{x:.2%}<extra></extra>",
        )
    )
    figure.add_vline(
        x=even,
        line={"color": palette.series[1], "dash": "dash", "width": 2},
        annotation={"text": f"even {even:.1%}", "font": {"color": palette.text}, "yanchor": "bottom"},
        annotation_position="top",
    )
    figure.update_xaxes(
        title_text="weight", tickformat=".0%", range=[0, 1.18 * max(values)], gridcolor=palette.quiet, zeroline=False
    )
    figure.update_layout(
        height=90 + 22 * len(names),
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        font_color=palette.text,
        showlegend=False,
        bargap=0.3,
        hovermode="closest",
        uirevision="keep",
    )
    return figure


def teacher_policy_panel(run: RunFolder) -> None:
    """Draw the newest weights of a run, where it learns any."""
    weights = newest_weights(plottable(run))
    if not weights:
        return
    st.markdown(
        "**Reliability of the teachers**",
        help="How probable it is that a teacher is asked next. A policy gradient raises the weight of teachers that "
        "help on validation classes and lowers that of deceptive ones. The dashed line: all alike.",
    )
    first, last = next(iter(weights.items())), list(weights.items())[-1]
    with st.container(height=90 + 22 * MANY if len(weights) > MANY else "content", border=False):
        show_chart(
            teacher_policy_bars(weights, palette=palette()),
            key="chart:reliability",
            alt=f"Weights of {len(weights)} teachers; highest {first[0]} with {percent(first[1])}, "
            f"lowest {last[0]} with {percent(last[1])}",
        )
    if len(weights) > MANY:
        st.caption(f"{len(weights)} teachers, the most reliable first; scroll for the others.")
