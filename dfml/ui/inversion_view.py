"""A recovery on the page: pictures that emerge from noise, loss curves, the result; and the gallery of all."""

from __future__ import annotations

import streamlit as st
from PIL import Image

from dfml.core.errors import BadInput
from dfml.runs.folder import RunFolder
from dfml.ui.charts import curves
from dfml.ui.galleries import strip
from dfml.ui.messages import empty_state, one_line_errors, plain
from dfml.ui.metrics import duration, metric, percent
from dfml.ui.pictures_of_runs import newest_sheet
from dfml.ui.recoveries import StoredRecovery, all_recoveries, by_class, recoveries_of
from dfml.ui.run_panel import run_controls, run_header
from dfml.ui.run_store import RunRow, open_run, plottable
from dfml.ui.theme import palette
from dfml.ui.zoo_panels import open_listing

PER_ROW = 10
ROWS_A_PAGE = 8


def no_recovery_yet() -> None:
    """What will be here, and how to get it."""
    empty_state(
        "No recovery yet",
        "Choose a teacher and press Recover pictures: within seconds its classes appear here, one row each.",
        icon=":material/image_search:",
    )


def watch_recovery(row: RunRow) -> None:
    """Show the run; its pictures and numbers move each second until it ends."""
    if row.spec is None:
        st.warning(plain(row.message), icon=":material/broken_image:")
        return

    @st.fragment(run_every=1 if row.active else None)
    def live() -> None:
        with one_line_errors():
            run = open_run(row)
            status = run.status()
            run_header(run, status)
            run_controls(run, status, key="inversion")
            stored = recoveries_of(run.path, row.name, row.title)
            for recovery in stored:
                result_panel(recovery)
                picture_rows(recovery.pictures(), key=recovery.teacher)
            if not stored:
                _live_pictures(run)
            loss_chart(run)
            if row.active and not status.active:
                # The run ended: one full run of the page redraws it without the timer.
                st.rerun()

    live()


def result_panel(recovery: StoredRecovery) -> None:
    """How good the pictures are, and what they cost."""
    report = recovery.report
    st.markdown(f"**Teacher {plain(recovery.teacher)}**")
    grid = st.grid(4, min_column_width=130)
    own, judge = metric("inversion/teacher_accuracy"), metric("inversion/judge_agreement")
    grid.metric("Teacher accuracy", percent(report.get("teacher_accuracy")), border=True, help=own.help)
    if report.get("judge_agreement") is None:
        grid.metric("Judge agreement", "no judge", border=True, help=f"{judge.help} This teacher has no judge.")
    else:
        grid.metric("Judge agreement", percent(report["judge_agreement"]), border=True, help=judge.help)
    grid.metric("Pictures", report.get("images", "–"), border=True)
    ratio = (report.get("seconds") or 0) / report["reference_seconds"] if report.get("reference_seconds") else None
    beside = f" {ratio:.1f} times the bare passes through the teacher." if ratio else ""
    grid.metric("Time", duration(report.get("seconds")), border=True, help=f"Wall clock of the recovery.{beside}")


def picture_rows(rows: dict[str, list[Image.Image]], *, key: str, limit: int = PER_ROW) -> None:
    """One row a class: its name, and its first pictures."""
    widest = max((min(limit, len(pictures)) for pictures in rows.values()), default=1)
    for name, pictures in rows.items():
        label, images = st.columns([1, 6], vertical_alignment="center", gap="small")
        label.markdown(f"**{plain(name)}**")
        shown = pictures[:limit]
        padded = strip(shown, side=96, columns=max(widest, 5))
        images.image(padded, width="stretch", alt=f"{len(shown)} pictures recovered for {name}")
    hidden = sum(max(0, len(pictures) - limit) for pictures in rows.values())
    if hidden:
        st.caption(f"The first {limit} of each class; the gallery has all.")


def _class_names(run: RunFolder, tag: str) -> list[str]:
    try:
        row = open_listing(run.spec.zoo or "").teacher(tag.rpartition("/")[2])
    except BadInput:  # a zoo that has gone only costs the names
        row = None
    return [name.replace("_", " ") for name in row.classes] if row else []


def _live_pictures(run: RunFolder) -> None:
    sheet = newest_sheet(run, "recovered/")
    if sheet is None:
        if run.status().active:
            st.skeleton(260)
        return
    st.caption(f"Step {sheet.step}: from noise towards what the teacher expects of each class.")
    picture_rows(by_class(sheet.pictures, sheet.labels, _class_names(run, sheet.tag)), key="live")


def loss_chart(run: RunFolder) -> None:
    """The terms of the inversion loss."""
    scalars = plottable(run)
    names = [f"inversion/{term}" for term in ("ce", "bn", "tv", "l2")]
    series = {metric(name).title: scalars[name] for name in names if name in scalars}
    if series:
        st.markdown(
            "**Inversion losses**",
            help="  \n".join(f"**{metric(n).title}**: {metric(n).help}" for n in names if n in scalars),
        )
        newest = ", ".join(f"{name} {values[-1]:.3g}" for name, (_, values) in series.items())
        st.plotly_chart(
            curves(series, x="step", y="loss (logarithmic)", log=True, palette=palette()),
            key="chart:inversion",
            alt=f"Loss terms over the steps; newest: {newest}",
        )


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
    one, two, three = st.columns(3)
    titles = {found.run: found.run_title for found in recoveries}
    run = one.selectbox(
        "Run",
        ["all runs", *titles],
        format_func=lambda name: titles.get(name, name),
        key="gallery_run",
        persist_state="session",
    )
    left = [found for found in recoveries if run in ("all runs", found.run)]
    teacher = two.selectbox(
        "Teacher",
        ["all teachers", *sorted({found.teacher for found in left})],
        key="gallery_teacher",
        persist_state="session",
    )
    left = [found for found in left if teacher in ("all teachers", found.teacher)]
    label = three.selectbox(
        "Class",
        ["all classes", *sorted({name for found in left for name in found.classes})],
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
                f"**{plain(name)}** · teacher {plain(found.teacher)} · "
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
