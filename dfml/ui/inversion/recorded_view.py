"""Recorded recoveries on the page: chosen by the link, badged, replayed first."""

from collections.abc import Callable
from datetime import datetime

import streamlit as st

from dfml.ui.runs.panel import Watched
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.texts import counted, one_line_errors, plain

OWN, RECORDED = "own", "recorded"
SOURCES = {OWN: "own recoveries", RECORDED: "recorded ones"}
ABOUT = "Finished runs that ship with the program, so that there is something to look at before anything was run here."


def choose_source(own: list[RunRow], recorded: list[RunRow]) -> str:
    """Return whose runs are shown; where there are both kinds, draw the choice, which the run in the link decides."""
    if not own or not recorded:
        return OWN if own or not recorded else RECORDED
    linked = st.query_params.get("run") in [row.name for row in recorded]
    asked = RECORDED if linked else OWN
    if st.session_state.get("_source") != asked:
        st.session_state["source"] = st.session_state["_source"] = asked

    def go() -> None:
        st.session_state["_source"] = chosen = st.session_state["source"]
        if chosen == RECORDED:
            st.query_params["run"] = recorded[0].name
        else:
            st.query_params.pop("run", None)

    look = {"format_func": SOURCES.get, "on_change": go, "required": True, "label_visibility": "collapsed"}
    return st.segmented_control("Whose recoveries", list(SOURCES), key="source", help=ABOUT, **look) or asked


def watch_recorded(rows: list[RunRow], draw: Callable[[list[Watched], str], None]) -> None:
    """Draw the chooser of recorded runs, what the chosen one is, and what ``draw`` makes of it."""
    by_name = {row.name: row for row in rows if row.spec}
    if not by_name:
        return
    asked = st.query_params.get("run")
    first = next((name for name in by_name if name.startswith("pixels")), next(iter(by_name)))
    asked = asked if asked in by_name else first
    if st.session_state.get("_recorded_recovery") != asked or "recorded_recovery" not in st.session_state:
        st.session_state["recorded_recovery"] = st.session_state["_recorded_recovery"] = asked

    def go() -> None:
        st.query_params["run"] = st.session_state["_recorded_recovery"] = st.session_state["recorded_recovery"]

    titles = {name: _title(row) for name, row in by_name.items()}
    look = {"format_func": lambda name: titles.get(name, name), "on_change": go, "help": ABOUT}
    name = st.selectbox("Recorded recovery", list(by_name), key="recorded_recovery", **look)
    row = by_name[name]

    @st.fragment
    def view() -> None:
        with one_line_errors():
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"#### {plain(titles[name])}", width="content", anchors=False)
                st.badge(recorded_on(row), icon=":material/inventory_2:", color="gray")
            assert row.spec is not None
            status = row.run.status()
            draw([Watched(row.spec.method, row.run, status)], name)

    view()


def recorded_on(row: RunRow) -> str:
    """Return ``recorded on 30 Nov 2026, 2 CPU cores``: when, and on what."""
    told = f"recorded on {datetime.fromtimestamp(row.created):%d %b %Y}"
    device = row.run.status().device or ""
    threads = row.spec.threads if row.spec else None
    if device == "cpu" and threads:
        return f"{told}, {counted(threads, 'CPU core')}"
    return f"{told}, {device}" if device else told


def _title(row: RunRow) -> str:
    spec = row.spec
    if spec is None or len(spec.teachers) != 1:
        return row.title
    return f"{spec.method}: teacher {spec.teachers[0]} of {(spec.zoo or '').rpartition('/')[2]}"
