"""The numbers of a run that have no chart of their own above: a small one each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import streamlit as st

from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.curves import curves
from dfml.ui.training.teacher_policy import PREFIX
from dfml.ui.widgets.metrics import metric, percent
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import palette

Scalars = Mapping[str, tuple[Sequence[float], Sequence[float]]]
ELSEWHERE = (PREFIX, "val/", "test/")
"""Drawn as bars, or told with the result."""
MOST = 12


def further_names(scalars: Scalars, drawn: Collection[str]) -> list[str]:
    """The curves, of two points at least, that nothing else on the page shows.

    Args:
        scalars: All curves of a run.
        drawn: Names of those that have a chart.
    """
    return [
        name
        for name, (steps, _) in scalars.items()
        if len(steps) > 1 and name not in drawn and not name.startswith(ELSEWHERE)
    ]


def further_charts(scalars: Scalars, drawn: Collection[str]) -> None:
    """Draw them; see ``further_names``."""
    names = further_names(scalars, drawn)
    if not names:
        return
    st.markdown("**Further numbers**")
    grid = st.grid(3, min_column_width=240, gap="medium")
    for name in names[:MOST]:
        look, newest = metric(name), scalars[name][1][-1]
        with grid.cell():
            st.markdown(plain(look.title[:1].upper() + look.title[1:]), help=look.help or None)
            show_chart(
                curves(
                    {look.title: scalars[name]},
                    y=look.title,
                    percent=look.percent,
                    smooth=True,
                    palette=palette(),
                    height=200,
                ),
                key=f"chart:{name}",
                alt=f"{look.title} over iterations; newest: {percent(newest) if look.percent else f'{newest:.3g}'}",
            )
    if len(names) > MOST:
        st.caption(f"and {len(names) - MOST} more under Compare")
