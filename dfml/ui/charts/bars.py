"""Figures of teachers: how good and how alike they are, what they know, their weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dfml.ui.charts.figures import blank, palette, translucent

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
MOST_NAMED = 30
MOST_LETTERS = 16
MOST_POINTS = 60
"""Teachers of an architecture that are all drawn as points."""


def accuracy_histogram(accuracies: Sequence[float]) -> go.Figure:
    """Draw how many teachers reach which held-out accuracy (at least one is known); a dashed line marks the mean."""
    figure = blank(x="held-out accuracy", y="teachers", height=260)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(rangemode="tozero", tickformat="d", dtick=1 if len(accuracies) <= 8 else None)
    low, high = min(accuracies), max(accuracies)
    # Whole per cents: fine where teachers lie close together, coarse where they spread.
    width = 0.01 if high - low < 0.15 else 0.02 if high - low < 0.4 else 0.05
    colours = palette()
    # A bin holds its lower end, not its upper one: without this, 100 % would stand above 100 %.
    below = [min(value, 1 - 1e-9) for value in accuracies]
    first, last = int(min(below) / width), int(max(below) / width) + 1
    bins = {"start": first * width, "end": high + width, "size": width}
    # From a number to a number, and a little more: no bar stands beyond the last one, which would be left out else.
    ends = [width * (first // 5 * 5 - 0.2), width * (-(-last // 5) * 5 + 0.2)]
    figure.update_xaxes(range=ends, tick0=0, dtick=5 * width)
    look = {"color": colours.series[0], "line": {"width": 1, "color": colours.quiet}}
    hover = "%{x}: %{y} teachers<extra></extra>"
    figure.add_trace(go.Histogram(x=below, xbins=bins, marker=look, hovertemplate=hover))
    mean = sum(accuracies) / len(accuracies)
    _mark_value(figure, mean, f"mean {mean:.1%}")
    figure.update_layout(showlegend=False, bargap=0.04, hovermode="closest", margin={"t": 28, "r": 24})
    return figure


def class_coverage(counts: Sequence[tuple[str, int]]) -> go.Figure:
    """Draw in how many teachers each class occurs: one bar per class, in the given order from the top."""
    figure = _counted(counts, "teachers that know the class", height=class_rows_end(len(counts)) + 8)
    figure.update_xaxes(side="top", automargin=False)
    figure.update_yaxes(tickfont_size=11, range=[len(counts) - 0.5, -0.5], autorange=False)
    figure.update_layout(margin_t=class_rows_end(0))
    return figure


def class_rows_end(rows: int) -> int:
    """Pixels from the top of ``class_coverage`` to the end of a row: a view that ends there cuts none."""
    return 56 + 18 * rows


def architecture_bars(counts: Sequence[tuple[str, int]]) -> go.Figure:
    """Draw how many teachers each architecture has: one bar each, in the given order from the top."""
    return _counted(counts, "teachers", height=_rows_height(len(counts)))


def accuracies_by_architecture(families: Sequence[tuple[str, Sequence[float]]]) -> go.Figure:
    """Draw held-out accuracies: a row for each architecture, with a point for each teacher and a box about them.

    Of more than ``MOST_POINTS`` teachers only those far from the others are points.
    """
    figure = blank(x="held-out accuracy", y="", height=_rows_height(len(families)))
    _name_rows(figure, [name for name, _ in families])
    colour = palette().series[0]
    for row, (_, values) in enumerate(families):
        points = "all" if len(values) <= MOST_POINTS else "outliers"
        look = {"marker": {"color": colour, "size": 5}, "line_width": 1.5, "fillcolor": translucent(colour, 0.12)}
        place = {"orientation": "h", "y0": row, "jitter": 0.5, "pointpos": 0, "width": 0.7}
        hover = {"hovertemplate": "%{x:.1%}<extra></extra>", "hoveron": "points"}
        figure.add_trace(go.Box(x=list(values), boxpoints=points, **place, **look, **hover))
    figure.update_xaxes(tickformat=".0%")
    # The ends of the rows are those of bars beside it.
    figure.update_yaxes(range=[len(families) - 0.5, -0.5], autorange=False)
    figure.update_layout(showlegend=False, hovermode="closest")
    return figure


def teacher_policy_bars(weights: Mapping[str, float]) -> go.Figure:
    """Draw a bar per teacher with its probability to be asked next; a dashed line marks the even weight."""
    values, even, colour = list(weights.values()), 1 / len(weights), palette().series[0]
    figure = blank(x="weight", y="teacher", height=90 + 22 * len(values))
    _add_bars(
        figure,
        list(weights),
        values,
        # Weight is told by length and number; the shade only helps the eye to find the even weight.
        marker_color=[colour if value >= even else translucent(colour, 0.45) for value in values],
        text=[f"{value:.1%}" for value in values],
        hovertemplate="teacher %{y}: %{x:.2%}<extra></extra>",
    )
    _mark_value(figure, even, f"even {even:.1%}")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.18 * max(values)])
    figure.update_layout(margin_t=28)
    return figure


def teacher_map(
    ids: Sequence[str], places: Sequence[Sequence[float]], groups: Sequence[int], about: Mapping[str, str]
) -> go.Figure:
    """Draw teachers at ``places`` [N, 2], a colour and a sign per group; hovering shows ``about`` of an id."""
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


def similarity_matrix(
    ids: Sequence[str], similarity: Sequence[Sequence[float | None]], groups: Sequence[int]
) -> go.Figure:
    """Draw the similarity [N, N] of each pair of teachers, in the order of their groups, which lines divide."""
    order = sorted(range(len(groups)), key=lambda i: (groups[i], i))
    names = [ids[i] for i in order]
    figure = blank(x="teacher", y="teacher", height=340)
    places = list(range(len(order)))
    figure.add_trace(
        go.Heatmap(
            # Without the diagonal, whose ones would take the whole scale of colours.
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
    if len(names) <= MOST_NAMED:
        # A name as long as the chart would leave its squares no room; hovering tells the whole.
        ticks, texts = places, [n if len(n) <= MOST_LETTERS else f"{n[: MOST_LETTERS - 1]}…" for n in names]
    else:
        ticks = [(a + b) / 2 for a, b in zip([-0.5, *ends], [*ends, len(order) - 0.5], strict=True)]
        texts = [str(groups[order[int(middle + 0.5)]] + 1) for middle in ticks]
        figure.update_layout(xaxis_title_text="teachers, by group", yaxis_title_text="teachers, by group")
    # Positions, since lines stand between them; so names may be anything, and equal ones stay apart.
    scale = {"type": "linear", "tickvals": ticks, "ticktext": texts, "showgrid": False, "constrain": "domain"}
    figure.update_xaxes(**scale)
    figure.update_yaxes(**scale, autorange="reversed", scaleanchor="x")
    figure.update_layout(hovermode="closest", showlegend=False)
    return figure


def _rows_height(rows: int) -> int:
    """Pixels of charts that stand side by side, so that their rows are level."""
    return 64 + 26 * max(3, rows)


def _counted(counts: Sequence[tuple[str, int]], what: str, *, height: int) -> go.Figure:
    names, values = [name for name, _ in counts], [count for _, count in counts]
    figure = blank(x=what, y="", height=height)
    look = {"marker_color": palette().series[0], "hovertemplate": "%{y}: %{x} teachers<extra></extra>"}
    _add_bars(figure, names, values, **look)
    # Few teachers need whole ticks: 0.5 and 1.5 would stand there, rounded.
    dtick = 1 if max(values, default=0) <= 8 else None
    figure.update_xaxes(rangemode="tozero", tickformat="d", dtick=dtick)
    figure.update_layout(bargap=0.25)
    return figure


def _name_rows(figure: go.Figure, names: Sequence[str]) -> list[int]:
    """Name the rows of a figure, from the top, and return them.

    Rows are numbers and names only their labels: Plotly would read ``10``, ``nan`` or ``2024-01-02`` as numbers and
    dates, lay equal names upon each other, and draw no bar for ``constructor`` or ``__proto__``.
    """
    rows = list(range(len(names)))
    ticks = {"type": "linear", "tickmode": "array", "tickvals": rows, "ticktext": list(names)}
    figure.update_yaxes(**ticks, autorange="reversed", showgrid=False)
    return rows


def _add_bars(figure: go.Figure, names: Sequence[str], values: Sequence[float], **look: Any) -> None:  # noqa: ANN401 - as plotly's
    """Add a bar per name, from the top, each with its text beside it."""
    rows = _name_rows(figure, names)
    figure.add_trace(go.Bar(x=values, y=rows, orientation="h", textposition="outside", cliponaxis=False, **look))
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0.3)


def _mark_value(figure: go.Figure, x: float, text: str) -> None:
    """Add a dashed vertical line with its words above."""
    line = {"color": palette().series[1], "dash": "dash", "width": 2}
    label = {"text": text, "font": {"color": palette().text}, "yanchor": "bottom"}
    figure.add_vline(x, line=line, annotation=label, annotation_position="top")
