"""Recoveries as they are watched: the darkroom, one slider over all, curves, quality, privacy."""

import streamlit as st

from dfml.runs.recorded import is_recorded
from dfml.ui.inversion.beside import all_recoveries, put_beside
from dfml.ui.inversion.darkroom import darkroom
from dfml.ui.inversion.frames import frames, own_curves, recovery_curves, steps_in_all, teachers_of
from dfml.ui.inversion.moment import moment_of
from dfml.ui.inversion.privacy import privacy_panel
from dfml.ui.inversion.quality_table import quality_table
from dfml.ui.inversion.recoveries import stored_recoveries
from dfml.ui.inversion.recovery_replay import replay_recovery
from dfml.ui.runs.panel import Watched, watch_runs
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.texts import one_line_errors

WAY = (
    "0 % is the first step, 100 % the last one. Inverters take different numbers of steps, so the same share is "
    "another step in each grid: every grid names the step that it shows. Of long recoveries about twenty steps are "
    "kept, and the nearest kept one is shown; of one that is still going on, at most the newest."
)


def watch_recovery(rows: list[RunRow]) -> None:
    """Show runs side by side; images and numbers move each second until all have ended."""
    text = (
        "Choose a teacher and up to three inverters, then press Recover images: within seconds the teacher's classes "
        "appear here, a column per inverter."
    )
    watch_runs(rows, "inversion", _compared, title="No recovery yet", text=text, icon=":material/image_search:")


def _compared(watched: list[Watched], key: str) -> None:
    """All recoveries of one teacher: images, curves, quality, privacy."""
    known = [
        name
        for one in watched
        for name in teachers_of(one.run, [found.teacher for found in stored_recoveries(one.run)])
    ]
    teacher, *others = list(dict.fromkeys(known)) or [""]
    if others:
        teacher = st.selectbox("Teacher shown", [teacher, *others], key=f"shown_teacher:{key}", width=260)
    one, own = watched[0], {found.teacher: found for found in stored_recoveries(watched[0].run)}.get(teacher)
    alone = len(watched) == 1
    if alone and not one.status.active:
        first = is_recorded(one.run.path)
        if st.toggle(
            "Replay", first, key=f"replays:{key}", help="Play it again: pictures and curves under one slider."
        ):
            replay_recovery(one, teacher, own, key)
    controls = st.columns([2, 3], gap="medium", vertical_alignment="bottom") if alone else [st.container()] * 2
    if alone:
        with controls[0]:
            watched = put_beside(watched, teacher)
    stored = [{found.teacher: found for found in stored_recoveries(one.run)} for one in watched]
    found = [(one.name, its.get(teacher)) for one, its in zip(watched, stored, strict=True)]
    share = 100
    if any(len(frames(one.run, one.status, teacher, its)) > 1 for one, (_, its) in zip(watched, found, strict=True)):
        label = "Share of the way" + ", in all grids" * (len(watched) > 1)
        share = controls[1].slider(label, 0, 100, 100, step=5, format="%d %%", key=f"way:{key}", help=WAY)
    with one_line_errors():
        moments = [moment_of(one, teacher, its, share / 100) for one, (_, its) in zip(watched, found, strict=True)]
        darkroom(moments, all_recoveries, teacher, key)
    series = {one.name: own_curves(one.run, teacher) for one in watched}
    totals = {one.name: steps_in_all(one.run, one.status, its) for one, (_, its) in zip(watched, found, strict=True)}
    recovery_curves(series, totals, key=f"curves:{key}")
    quality_table(found, key=f"quality:{key}")
    privacy_panel(found, key=f"privacy:{key}")
