"""Recoveries as they are watched: the darkroom, one slider over all, curves, quality, privacy."""

from typing import Any

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
from dfml.ui.widgets.link_choice import in_link, share_in_link
from dfml.ui.widgets.texts import one_line_errors, plain

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
        teacher = in_link(st.selectbox, "Teacher shown", [teacher, *others], key="shown", width=260)
    alone = len(watched) == 1
    with st.container():
        _replay(watched, teacher, key)
    controls = st.columns([2, 3], gap="medium", vertical_alignment="bottom") if alone else [st.container()] * 2
    if alone:
        with controls[0]:
            watched = put_beside(watched, teacher)
    stored = [{found.teacher: found for found in stored_recoveries(one.run)} for one in watched]
    found = [(one.name, its.get(teacher)) for one, its in zip(watched, stored, strict=True)]
    long = any(len(frames(one.run, one.status, teacher, its)) > 1 for one, (_, its) in zip(watched, found, strict=True))
    label = "Share of the way" + ", in all grids" * (len(watched) > 1)
    with controls[1]:
        # There from the beginning, so that nothing moves when the second step comes.
        share = share_in_link(label, key="way", own=f"way:{key}", help=WAY, disabled=not long)
    with one_line_errors():
        moments = [
            moment_of(one, teacher, its, share / 100 if long else 1.0)
            for one, (_, its) in zip(watched, found, strict=True)
        ]
        darkroom(moments, all_recoveries, teacher, key)
    series = {one.name: own_curves(one.run, teacher) for one in watched}
    totals = {one.name: steps_in_all(one.run, one.status, its) for one, (_, its) in zip(watched, found, strict=True)}
    recovery_curves(series, totals, key=f"curves:{key}")
    quality_table(found, key=f"quality:{key}")
    privacy_panel(found, key=f"privacy:{key}")


def _replay(watched: list[Watched], teacher: str, key: str) -> None:
    """Draw the switch of the replay, on for recorded runs, the choice of whose it is, and the replay."""
    ended = {one.name: one for one in watched if not one.status.active}
    if not ended:
        return
    about = "Play it again: pictures and curves under one slider."
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if not st.toggle("Replay", is_recorded(watched[0].run.path), key=f"replays:{key}", help=about):
            return
        name = next(iter(ended))
        if len(ended) > 1:
            look: dict[str, Any] = {"required": True, "label_visibility": "collapsed", "format_func": plain}
            name = st.segmented_control("Whose", list(ended), default=name, key=f"replayed:{key}", **look) or name
    one = ended[name]
    own = {found.teacher: found for found in stored_recoveries(one.run)}.get(teacher)
    if not replay_recovery(one, teacher, own, f"{key}:{name}"):
        st.caption("Too few of its steps are stored to play it.")
