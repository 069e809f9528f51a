"""The teachers of a run, where its method compared them: map, matrix and groups."""

from __future__ import annotations

import streamlit as st

from dfml.core.errors import BadInput
from dfml.runs.folder import RunFolder
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.similarity import similarity_matrix, teacher_map
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import palette
from dfml.ui.zoo.panels import open_listing, spaced


def compared_teachers(run: RunFolder) -> None:
    """Who is like whom, and who shares a group; nothing where the method compared no teachers."""
    found = run.zoo_map()
    if found is None:
        return
    count = len(set(found.groups))
    grid = st.grid(2, min_column_width=360, gap="medium")
    with grid.cell():
        st.markdown(
            "**Map of the teachers**",
            help="Near teachers ask for similar changes of a fixed network, the probe. Distances stand for "
            "1 - similarity, as well as a plane can show them; the axes have no meaning of their own.",
        )
        show_chart(
            teacher_map(found.ids, found.places, found.groups, about=_classes(run), palette=palette()),
            key="chart:teacher-map",
            alt=f"Map of {len(found.ids)} teachers in {count} groups",
        )
    with grid.cell():
        st.markdown(
            "**Similarity of the teachers**",
            help="One row and one column a teacher, in the order of their groups; lines divide the groups.",
        )
        show_chart(
            similarity_matrix(found.ids, found.similarity, found.groups, palette=palette()),
            key="chart:similarity",
            alt=f"Similarity matrix of {len(found.ids)} teachers in {count} groups",
        )
    st.caption(f"{plain(found.text)}.")


def _classes(run: RunFolder) -> dict[str, str]:
    """What each teacher knows, where its zoo is still there."""
    try:
        listing = open_listing(run.spec.zoo or "")
    except BadInput:
        return {}
    return {row.id: ", ".join(map(spaced, row.classes[:8])) for row in listing.teachers}
