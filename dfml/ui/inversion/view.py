"""Recoveries on the page, side by side: pictures that emerge from noise, one slider over all, curves, quality."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from PIL import Image

from dfml.core.addresses import is_address
from dfml.core.errors import BadInput
from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from dfml.runs.status import RunStatus
from dfml.ui.charts.recovery_curves import recovery_curves
from dfml.ui.inversion.comparisons import Comparison, whose
from dfml.ui.inversion.downloads import download_row
from dfml.ui.inversion.frames import Frame, at_share, frames, own_curves, steps_in_all, teachers_of, warming
from dfml.ui.inversion.privacy import privacy_panel
from dfml.ui.inversion.quality import quality_table
from dfml.ui.inversion.recoveries import StoredRecovery, by_class, recoveries_of
from dfml.ui.runs.image_grids import open_sheet
from dfml.ui.runs.panel import look_again, moved_on, run_controls, run_header
from dfml.ui.runs.run_rows import RunRow, open_run
from dfml.ui.widgets.galleries import strip
from dfml.ui.widgets.messages import empty_state, one_line_errors
from dfml.ui.widgets.texts import plain
from dfml.ui.zoo.panels import open_listing

PER_ROW = 10


@dataclass(frozen=True)
class Column:
    """One inverter of a comparison, as it is at this moment.

    Attributes:
        name: Among the others.
        run: Its run.
        status: What the run is doing.
        stored: Its recoveries that are whole, by teacher.
    """

    name: str
    run: RunFolder
    status: RunStatus
    stored: dict[str, StoredRecovery]


def no_recovery_yet() -> None:
    """What will be here, and how to get it."""
    empty_state(
        "No recovery yet",
        "Choose a teacher and up to three inverters, then press Recover pictures: within seconds the teacher's "
        "classes appear here, a column an inverter.",
        icon=":material/image_search:",
    )


def watch_recovery(shown: Comparison) -> None:
    """Show the runs side by side; pictures and numbers move each second until all have ended."""
    for row in shown.rows:
        if row.spec is None:
            st.warning(plain(row.message), icon=":material/broken_image:")
    rows = [(row, name) for row, name in zip(shown.rows, shown.names, strict=True) if row.spec]
    if not rows:
        return

    @st.fragment(run_every=look_again(*(row for row, _ in rows)))
    def live() -> None:
        with one_line_errors():
            columns = [_column(row, name) for row, name in rows]
            _headers(shown, columns)
            teacher = _choose_teacher(columns, shown.name)
            _grids(columns, teacher, shown.name)
            found = [(column.name, column.stored.get(teacher)) for column in columns]
            series = {column.name: own_curves(column.run, teacher) for column in columns}
            totals = {c.name: steps_in_all(c.run, c.status, c.stored.get(teacher)) for c in columns}
            recovery_curves(series, totals, key=f"curves:{shown.name}")
            quality_table(found, key=f"quality:{shown.name}")
            privacy_panel(found, key=f"privacy:{shown.name}")
            if any(moved_on(row.state, column.status.state) for (row, _), column in zip(rows, columns, strict=True)):
                # One ended, or another tab resumed it: one full run of the page sets the timer anew.
                st.rerun()

    live()


def _column(row: RunRow, name: str) -> Column:
    run = open_run(row)
    stored = {found.teacher: found for found in recoveries_of(run.path, row.name, row.title)}
    return Column(name, run, run.status(), stored)


def _headers(shown: Comparison, columns: list[Column]) -> None:
    """What is common to all runs, then each one's state and controls."""
    if shown.single:
        column = columns[0]
        run_header(column.run, column.status)
        run_controls(column.run, column.status, key="inversion")
        return
    spec, active = columns[0].run.spec, [column for column in columns if column.status.active]
    st.markdown(f"#### {plain(whose(spec)).capitalize()}", anchors=False)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f"{len(columns)} inverters · {spec.per_class} pictures a class · seed {spec.seed} · "
            + plain(f"{spec.preset} preset")
            + (f" · real pictures from {plain(spec.data)}" if spec.data else ""),
            width="content",
        )
        if len(active) > 1 and st.button("Stop all", icon=":material/stop_circle:", key="inversion:stop_all"):
            for column in active:
                with one_line_errors():
                    launcher.request_stop(column.run)
            st.rerun()
    others = {column.run.name: column.name for column in columns}
    for place, cell in enumerate(st.columns(len(columns), gap="medium")):
        with cell, one_line_errors():
            run_header(columns[place].run, columns[place].status, columns[place].name, others)
            run_controls(columns[place].run, columns[place].status, key=f"inversion:{place}", narrow=True)


def _choose_teacher(columns: list[Column], key: str) -> str:
    """The teacher whose pictures are shown, where the runs recover several."""
    teachers = list(
        dict.fromkeys(t for column in columns for t in teachers_of(column.run, list(column.stored.values())))
    )
    if len(teachers) < 2:
        return teachers[0] if teachers else ""
    return st.selectbox("Teacher shown", teachers, key=f"shown_teacher:{key}", width=260)


def _grids(columns: list[Column], teacher: str, key: str) -> None:
    """Each inverter's pictures at the same share of its way."""
    found = [frames(column.run, column.status, teacher, column.stored.get(teacher)) for column in columns]
    share = 1.0
    if any(len(one) > 1 for one in found):
        share = _slider(key, several=len(columns) > 1) / 100
    for column, cell, one in zip(columns, st.columns(len(columns), gap="medium"), found, strict=True):
        with cell, one_line_errors():
            _pictures(column, teacher, one, share, wide=len(columns) == 1)


def _slider(key: str, *, several: bool) -> int:
    return st.slider(
        "Share of the way, in all grids" if several else "Share of the way",
        0,
        100,
        100,
        step=5,
        format="%d %%",
        key=f"way:{key}",
        help="0 % is the first step, 100 % the last one. Inverters take different numbers of steps, so the same share "
        "is another step in each grid: every grid names the step that it shows. Of long recoveries about twenty "
        "steps are kept, and the nearest kept one is shown; of one that is still going on, at most the newest.",
    )


def _pictures(column: Column, teacher: str, found: list[Frame], share: float, *, wide: bool) -> None:
    """The pictures of one inverter, the line that says which these are, and its downloads."""
    stored = column.stored.get(teacher)
    frame = at_share(found, share)
    title = "" if wide else f"**{plain(column.name)}** · "
    if stored and (frame is None or frame is found[-1]):
        steps = stored.report.get("steps")
        st.markdown(f"{title}last step" + (plain(f", {steps} of {steps}") if steps else ""))
        class_rows(stored.pictures(), wide=wide)
    elif frame:
        sheet = frame.sheet()
        st.markdown(f"{title}{frame.label}")
        if sheet:
            class_rows(by_class(sheet.pictures, sheet.labels, class_names(column.run, teacher, stored)), wide=wide)
    elif (entry := warming(column.run)) and (sheet := open_sheet(entry)):
        st.markdown(f"{title}warm-up, meta-step {entry.step}")
        class_rows(by_class(sheet.pictures, sheet.labels, []), wide=wide)
        st.caption("Pictures of another teacher of the zoo: the inverter still learns, before it meets this one.")
    elif column.status.active:
        st.markdown(f"{title}no pictures yet")
        st.skeleton(260)
    else:
        st.markdown(f"{title}no pictures")
    if stored:
        download_row(column.run, stored, column.name, key=f"download:{column.run.name}:{teacher}")


def class_rows(rows: dict[str, list[Image.Image]], *, wide: bool, limit: int = PER_ROW) -> None:
    """A row a class: its name and its first pictures; a narrow column folds the row, so that they stay large."""
    widest = max((min(limit, len(pictures)) for pictures in rows.values()), default=1)
    columns = max(5, widest) if wide else 5
    for name, pictures in rows.items():
        shown = pictures[:limit]
        sheet = strip([*shown, *[None] * (widest - len(shown))], side=96 if wide else 64, columns=columns)
        alt = f"{len(shown)} pictures recovered for {name}"
        if wide:
            label, images = st.columns([1, 6], vertical_alignment="center", gap="small")
            label.markdown(f"**{plain(name)}**")
            images.image(sheet, width="stretch", alt=alt)
        else:
            with st.container(gap="xxsmall"):
                st.caption(plain(name))
                st.image(sheet, width="stretch", alt=alt)
    hidden = sum(max(0, len(pictures) - limit) for pictures in rows.values())
    if hidden:
        st.caption(f"The first {limit} of each class; the gallery has all.")


def class_names(run: RunFolder, teacher: str, stored: StoredRecovery | None = None) -> list[str]:
    """The teacher's class names, as far as they can be read without asking a server."""
    if stored:
        return stored.classes
    if is_address(run.spec.zoo or ""):
        return []
    try:
        row = open_listing(run.spec.zoo or "").teacher(teacher)
    except BadInput:  # a zoo that has gone only costs the names
        row = None
    return [name.replace("_", " ") for name in row.classes] if row else []
