"""Who is like whom in a zoo: a map with the groups' colours, and the matrix in the groups' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dfml.ui.charts.curves import blank
from dfml.ui.widgets.theme import LIGHT, Palette

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
NAMED = 30
"""Up to so many teachers are named beside the matrix."""


def by_group(groups: Sequence[int]) -> list[int]:
    """Positions in the order of their groups."""
    return sorted(range(len(groups)), key=lambda i: (groups[i], i))


def teacher_map(
    ids: Sequence[str],
    places: Sequence[Sequence[float]],
    groups: Sequence[int],
    *,
    about: Mapping[str, str] | None = None,
    palette: Palette = LIGHT,
) -> go.Figure:
    """Teachers as points at ``places`` [N, 2], a colour and a sign per group; near means alike.

    ``about`` is what else is told of a teacher under the pointer, by its id.
    """
    figure = blank(palette, x="", y="", height=340)
    for group in sorted(set(groups)):
        mine = [i for i in range(len(ids)) if groups[i] == group]
        figure.add_trace(
            go.Scatter(
                x=[places[i][0] for i in mine],
                y=[places[i][1] for i in mine],
                name=f"group {group + 1}",
                mode="markers",
                text=["<br>".join(filter(None, (f"teacher {ids[i]}", (about or {}).get(ids[i], "")))) for i in mine],
                marker={
                    "symbol": SYMBOLS[group % len(SYMBOLS)],
                    "size": 10,
                    "color": palette.series[group % len(palette.series)],
                    "line": {"color": palette.text, "width": 0.5},
                },
                hovertemplate=f"%{{text}}<extra>group {group + 1}</extra>",
            )
        )
    # A step to the right means as much as one upwards; the numbers themselves mean nothing.
    figure.update_xaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, scaleanchor="x", scaleratio=1)
    figure.update_layout(hovermode="closest", showlegend=True)
    return figure


def similarity_matrix(
    ids: Sequence[str], similarity: Sequence[Sequence[float]], groups: Sequence[int], *, palette: Palette = LIGHT
) -> go.Figure:
    """The similarity of each pair of teachers, in the order of their groups, which lines divide.

    The diagonal, where all are 1, is left out: it would take the whole scale of colours.
    """
    order = by_group(groups)
    names = [ids[i] for i in order]
    values = [[None if a == b else similarity[a][b] for b in order] for a in order]
    figure = blank(palette, x="teacher", y="teacher", height=340)
    places = list(range(len(order)))
    bar = {"title": {"text": "similarity", "side": "right"}, "thickness": 12, "tickformat": ".2f"}
    figure.add_trace(
        go.Heatmap(
            z=values,
            x=places,
            y=places,
            customdata=[[f"{row} and {column}" for column in names] for row in names],
            colorscale="Cividis",
            colorbar=bar,
            hovertemplate="teachers %{customdata}: %{z:.3f}<extra></extra>",
            hoverongaps=False,
        )
    )
    ends = [k - 0.5 for k in range(1, len(order)) if groups[order[k]] != groups[order[k - 1]]]
    for end in ends:
        figure.add_hline(y=end, line={"color": palette.text, "width": 2})
        figure.add_vline(x=end, line={"color": palette.text, "width": 2})
    starts = [-0.5, *ends]
    middles = [(a + b) / 2 for a, b in zip(starts, [*ends, len(order) - 0.5], strict=True)]
    if len(names) <= NAMED:
        ticks, texts = places, names
    else:
        ticks, texts = middles, [str(groups[order[int(middle + 0.5)]] + 1) for middle in middles]
        figure.update_xaxes(title_text="teachers, by group")
        figure.update_yaxes(title_text="teachers, by group")
    # Positions, since lines stand between them; so names may be anything, and equal ones stay apart.
    scale = {"type": "linear", "tickvals": ticks, "ticktext": texts, "showgrid": False, "constrain": "domain"}
    figure.update_xaxes(**scale)
    figure.update_yaxes(**scale, autorange="reversed", scaleanchor="x")
    figure.update_layout(hovermode="closest", showlegend=False)
    return figure
