"""Who is like whom in a zoo: a map with the groups' colours, and the matrix in the groups' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dfml.ui.charts.curves import blank, palette

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
NAMED = 30
"""Up to so many teachers are named beside the matrix."""


def teacher_map(
    ids: Sequence[str], places: Sequence[Sequence[float]], groups: Sequence[int], about: Mapping[str, str]
) -> go.Figure:
    """Draw teachers as points at ``places`` [N, 2], a colour and a sign per group; near means alike.

    ``about`` is what else is told of a teacher under the pointer, by its id.
    """
    figure, colours = blank(x="", y="", height=340), palette()
    for group in sorted(set(groups)):
        mine = [i for i in range(len(ids)) if groups[i] == group]
        figure.add_trace(
            go.Scatter(
                x=[places[i][0] for i in mine],
                y=[places[i][1] for i in mine],
                name=f"group {group + 1}",
                mode="markers",
                text=["<br>".join(filter(None, (f"teacher {ids[i]}", about.get(ids[i], "")))) for i in mine],
                marker={
                    "symbol": SYMBOLS[group % len(SYMBOLS)],
                    "size": 10,
                    "color": colours.series[group % len(colours.series)],
                    "line": {"color": colours.text, "width": 0.5},
                },
                hovertemplate=f"%{{text}}<extra>group {group + 1}</extra>",
            )
        )
    # A step to the right means as much as one upwards; the numbers themselves mean nothing.
    figure.update_xaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, scaleanchor="x", scaleratio=1)
    figure.update_layout(hovermode="closest", showlegend=True)
    return figure


def similarity_matrix(ids: Sequence[str], similarity: Sequence[Sequence[float]], groups: Sequence[int]) -> go.Figure:
    """Draw the similarity of each pair of teachers, in the order of their groups, which lines divide.

    The diagonal, where all are 1, is left out: it would take the whole scale of colours.
    """
    order = sorted(range(len(groups)), key=lambda i: (groups[i], i))
    names = [ids[i] for i in order]
    figure = blank(x="teacher", y="teacher", height=340)
    places = list(range(len(order)))
    figure.add_trace(
        go.Heatmap(
            z=[[None if a == b else similarity[a][b] for b in order] for a in order],
            x=places,
            y=places,
            customdata=[[f"{row} and {column}" for column in names] for row in names],
            colorscale="Cividis",
            colorbar={"title": {"text": "similarity", "side": "right"}, "thickness": 12, "tickformat": ".2f"},
            hovertemplate="teachers %{customdata}: %{z:.3f}<extra></extra>",
            hoverongaps=False,
        )
    )
    ends = [k - 0.5 for k in range(1, len(order)) if groups[order[k]] != groups[order[k - 1]]]
    line = {"color": palette().text, "width": 2}
    for end in ends:
        figure.add_hline(y=end, line=line)
        figure.add_vline(x=end, line=line)
    if len(names) <= NAMED:
        ticks, texts = places, names
    else:
        ticks = [(a + b) / 2 for a, b in zip([-0.5, *ends], [*ends, len(order) - 0.5], strict=True)]
        texts = [str(groups[order[int(middle + 0.5)]] + 1) for middle in ticks]
        figure.update_xaxes(title_text="teachers, by group")
        figure.update_yaxes(title_text="teachers, by group")
    # Positions, since lines stand between them; so names may be anything, and equal ones stay apart.
    scale = {"type": "linear", "tickvals": ticks, "ticktext": texts, "showgrid": False, "constrain": "domain"}
    figure.update_xaxes(**scale)
    figure.update_yaxes(**scale, autorange="reversed", scaleanchor="x")
    figure.update_layout(hovermode="closest", showlegend=False)
    return figure
