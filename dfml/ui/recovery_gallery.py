"""All stored recoveries, to look through by run, teacher, inverter and class."""

from __future__ import annotations

import streamlit as st

from dfml.core.names import natural
from dfml.ui.galleries import strip
from dfml.ui.messages import empty_state, one_line_errors
from dfml.ui.metrics import percent
from dfml.ui.recoveries import all_recoveries
from dfml.ui.run_store import RunRow
from dfml.ui.texts import plain

PER_ROW = 10
ROWS_A_PAGE = 8


def recovery_gallery(rows: list[RunRow]) -> None:
    """All stored recoveries, by run, teacher and class."""
    recoveries = all_recoveries(rows)
    if not recoveries:
        empty_state(
            "The gallery is empty",
            "Every finished recovery is kept here, by run, teacher and class.",
            icon=":material/photo_library:",
        )
        return
    filters = st.grid(4, min_column_width=150)
    titles = {found.run: found.run_title for found in recoveries}
    run = filters.selectbox(
        "Run",
        ["all runs", *titles],
        format_func=lambda name: titles.get(name, name),
        key="gallery_run",
        persist_state="session",
    )
    left = [found for found in recoveries if run in ("all runs", found.run)]
    teacher = filters.selectbox(
        "Teacher",
        ["all teachers", *sorted({found.teacher for found in left}, key=natural)],
        key="gallery_teacher",
        persist_state="session",
    )
    left = [found for found in left if teacher in ("all teachers", found.teacher)]
    method = filters.selectbox(
        "Inverter",
        ["all inverters", *sorted({found.method for found in left})],
        key="gallery_method",
        persist_state="session",
    )
    left = [found for found in left if method in ("all inverters", found.method)]
    label = filters.selectbox(
        "Class",
        ["all classes", *sorted({name for found in left for name in found.classes}, key=natural)],
        key="gallery_class",
        persist_state="session",
    )
    items = [(found, name) for found in left for name in found.classes if label in ("all classes", name)]
    pages = -(-len(items) // ROWS_A_PAGE)
    page = min(st.session_state.get("gallery_page", 1), max(1, pages))
    for found, name in items[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]:
        with st.container(border=True), one_line_errors():
            pictures = found.pictures().get(name, [])
            st.markdown(
                f"**{plain(name)}** · {plain(found.method)} · teacher {plain(found.teacher)} · "
                f"{percent(found.report.get('teacher_accuracy'))} of this teacher's pictures classified as asked"
            )
            if pictures:
                st.image(
                    strip(pictures, side=64, columns=PER_ROW),
                    width="stretch",
                    alt=f"{len(pictures)} pictures recovered for {name}",
                )
            st.caption(plain(found.run_title))
    if pages > 1:
        st.pagination(pages, key="gallery_page")
    st.caption(
        f"{len(items)} class row{'s' * (len(items) != 1)} of {len(left)} "
        f"{'recovery' if len(left) == 1 else 'recoveries'}."
    )
