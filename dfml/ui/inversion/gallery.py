"""The gallery: all stored recoveries, by run, teacher, inverter and class."""

from typing import Any

import streamlit as st

from dfml.core.names import natural
from dfml.ui.inversion.recoveries import stored_recoveries
from dfml.ui.runs.panel import recorded_badge
from dfml.ui.runs.run_rows import RunRow, recorded_rows
from dfml.ui.widgets.galleries import show_strip
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, percent, plain

PER_ROW, ROWS_A_PAGE = 10, 8


def recovery_gallery(rows: list[RunRow]) -> None:
    """Draw all stored recoveries, by run, teacher and class."""
    left = [found for row in rows for found in stored_recoveries(row.run)]
    if not left and (left := [found for row in recorded_rows("invert") for found in stored_recoveries(row.run)]):
        recorded_badge(recorded_rows("invert")[0].run)
    if not left:
        text = "Every finished recovery is kept here, by run, teacher and class."
        empty_state("The gallery is empty", text, icon=":material/photo_library:")
        return
    filters = st.grid(4, min_column_width=150)

    def choose(label: str, key: str, options: list[str], **look: Any) -> str:  # noqa: ANN401 - as the widget's
        return filters.selectbox(label, options, key=key, persist_state="session", **look)

    titles = {found.run: found.run_title for found in left}
    run = choose("Run", "gallery_run", ["all runs", *titles], format_func=lambda name: titles.get(name, name))
    left = [found for found in left if run in ("all runs", found.run)]
    teachers = sorted({found.teacher for found in left}, key=natural)
    teacher = choose("Teacher", "gallery_teacher", ["all teachers", *teachers])
    left = [found for found in left if teacher in ("all teachers", found.teacher)]
    method = choose("Inverter", "gallery_method", ["all inverters", *sorted({found.method for found in left})])
    left = [found for found in left if method in ("all inverters", found.method)]
    classes = sorted({name for found in left for name in found.classes}, key=natural)
    label = choose("Class", "gallery_class", ["all classes", *classes])
    items = [(found, name) for found in left for name in found.classes if label in ("all classes", name)]
    pages = -(-len(items) // ROWS_A_PAGE)
    page = min(st.session_state.get("gallery_page", 1), max(1, pages))
    for found, name in items[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]:
        with st.container(border=True), one_line_errors():
            pictures = found.pictures().get(name, [])
            st.markdown(
                f"**{plain(name)}** · {plain(found.method)} · teacher {plain(found.teacher)} · "
                f"{percent(found.report.get('teacher_accuracy'))} of this teacher's images classified as asked"
            )
            if pictures:
                show_strip(pictures, f"{len(pictures)} images recovered for {name}", side=64, columns=PER_ROW)
            st.caption(plain(found.run_title))
    if pages > 1:
        st.pagination(pages, key="gallery_page")
    word = "recovery" if len(left) == 1 else "recoveries"
    st.caption(f"{counted(len(items), 'class row')} of {len(left)} {word}.")
