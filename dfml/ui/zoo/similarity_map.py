"""A map of a zoo's teachers, on which those who are alike are near; its points open the teachers' cards."""

import threading
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.core.remedies import PROGRAM
from dfml.runs.comparing import LEAST, TeacherMap, comparable, compare, map_file, read_map
from dfml.runs.processes import JobProcesses
from dfml.ui.components.point_map import Point, point_map
from dfml.ui.widgets.texts import counted, empty_state, in_minutes, listed, percent, plain
from dfml.ui.zoo.teacher_table import open_teacher
from dfml.ui.zoo.zoo_errand import BEFORE, told_progress
from dfml.zoo.listing import TeacherRow, ZooListing

RECOVERY, CORES = 9.5, 2
"""Seconds of one thread for the recovery of a teacher of the embedded Conv4 zoo, of which there are two here."""
MOST_NAMED = 8
NEAR = (
    "Teachers that lie close together are alike: images recovered from one would change a fixed network, the *probe*, "
    "in nearly the same way as images recovered from the other. It is the measure of the method TGR."
)


class Comparing:
    """A comparison that a thread of the server waits for; all who look at the zoo see how far it is."""

    def __init__(self, reference: str, path: Path) -> None:
        self.problem, self.over = "", False
        self._processes = JobProcesses()
        threading.Thread(target=self._ask, args=(reference, path), name="comparing teachers", daemon=True).start()

    def stop(self) -> None:
        """Let it end soon, and return at once; what was recovered is kept."""
        threading.Thread(target=self._processes.stop, name="stop comparing", daemon=True).start()

    def progress(self) -> tuple[float, str]:
        """Share done, in [0, 1], and what it is doing."""
        return told_progress(self._processes, f"{BEFORE} and the teachers")

    def _ask(self, reference: str, path: Path) -> None:
        try:
            compare(reference, path, self._processes)
        except DfmlError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = f"the teachers could not be compared ({type(error).__name__}: {error})."
        finally:
            self.over = True


@st.cache_resource(show_spinner=False)
def comparisons() -> dict[Path, Comparing]:
    """Return the comparisons of this server, by the files that they will write."""
    return {}


def similarity_panel(zoo: ZooListing, found: list[TeacherRow], chosen: TeacherRow) -> None:
    """Draw the map of the teachers ``found``, or what makes it; a click on a point opens that teacher's card."""
    st.header("Which teachers are alike", anchor=False)
    able = comparable(zoo)
    if len(able) < LEAST:
        text = f"It needs {LEAST} teachers that give gradients; this zoo has {len(able)}."
        empty_state("No map", text, icon=":material/scatter_plot:")
        return
    path = map_file(zoo)
    kept = read_map(path)
    if kept is None:
        _making(zoo, path, len(able))
    else:
        _draw(kept, {row.id: row for row in found}, chosen, zoo.reference)
    if left := [row.id for row in zoo.teachers if row.access == "queries"]:
        st.caption(f"Left out, since they only answer queries: {plain(listed(left, MOST_NAMED))}.")


def _making(zoo: ZooListing, path: Path, count: int) -> None:
    """Draw what starts a comparison, and how far it is; the timer runs only while it works."""
    working = comparisons().get(path)
    waiting, drawn = working is not None and not working.over, False

    def live() -> None:
        nonlocal drawn
        if waiting and drawn and working is not None and working.over:
            # One full run draws the map and leaves the timer out; never within a full run, which would lose its click.
            st.rerun()
        drawn = True
        if waiting and working is not None:
            share, text = working.progress()
            st.progress(share, text=f"Comparing: {plain(text)}")
            st.button("Stop comparing", icon=":material/stop_circle:", key="similarity:stop", on_click=working.stop)
        elif working is not None and working.problem:
            st.error(plain(working.problem), icon=":material/error:")

    st.caption(NEAR)
    st.fragment(live, run_every=1 if waiting else None)()
    if waiting:
        return

    def begin() -> None:
        comparisons()[path] = Comparing(zoo.reference, path)

    with st.container(horizontal=True, vertical_alignment="center"):
        about = f"`{PROGRAM} zoo similarity {plain(zoo.reference)}` does it, too, and writes the numbers to files."
        st.button("Compare teachers", icon=":material/scatter_plot:", key="similarity:go", on_click=begin, help=about)
        long = in_minutes(count * RECOVERY / CORES)
        st.caption(
            f"About {long} on two idle CPU cores for networks as small as Conv4. It is done once, and kept.",
            width="stretch",
        )


def _draw(kept: TeacherMap, rows: Mapping[str, TeacherRow], chosen: TeacherRow, reference: str) -> None:
    shown = [(teacher, place) for teacher, place in zip(kept.ids, kept.places, strict=True) if teacher in rows]
    points = [
        Point(x, y, told(rows[teacher]), int(teacher == chosen.id), mark="ring" if teacher == chosen.id else "dot")
        for teacher, (x, y) in shown
    ]
    alt = f"Map of {counted(len(points), 'teacher')}, the nearer the more alike; the table above chooses them, too"
    opened = point_map(points, key=f"similarity:{reference}", alt=alt, height=360)
    if opened is not None and shown[opened][0] != chosen.id:
        open_teacher(shown[opened][0])
        st.rerun()
    fit = f" Distances here follow the measured ones with a correlation of {kept.fit:.2f}." if kept.fit else ""
    st.caption(f"{NEAR}{fit} The ring is teacher {plain(chosen.id)}; a point opens its teacher's card.")


def told(row: TeacherRow) -> str:
    """Say what a point shows of its teacher when it is pointed at."""
    accuracy = [] if row.accuracy is None else [percent(row.accuracy)]
    return " · ".join([f"teacher {row.id}", row.family, *accuracy, listed(row.class_names, 5)])
