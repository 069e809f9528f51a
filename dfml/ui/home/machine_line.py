"""What this machine can do: its device, and how long the demos take here, measured once the page is drawn."""

import subprocess
import sys
from contextlib import suppress

import streamlit as st

from dfml.core.errors import RunFailed
from dfml.core.time_left import in_words
from dfml.runs.costs.machine import Speed, demo_times, kept_speed, reference_speed, seconds_here
from dfml.runs.processes import start
from dfml.runs.status import ACTIVE
from dfml.ui.runs.run_rows import run_rows
from dfml.ui.widgets.texts import counted, in_minutes, plain

AGAIN = 600
"""Seconds after which a visit lets a machine be measured again that was busy."""
SHOWN = ("dro", "purer", "distill", "tgr", "free", "bidf-mkd", "teapot")
"""Of these methods' demos the quickest and the slowest are told."""


class SpeedQuestion:
    """A process at low priority that times a short piece of work; it keeps its answer itself."""

    def __init__(self) -> None:
        none = subprocess.DEVNULL
        code = "import os, time; getattr(os, 'nice', int)(5); from dfml.core.process import end_with_starter; "
        code += "end_with_starter(); time.sleep(2); from dfml.runs.costs.machine import main; main()"
        self._process = start([sys.executable, "-c", code], {}, stdout=none, stderr=none, stdin=none)

    @property
    def over(self) -> bool:
        """Whether it has ended, with or without an answer."""
        return self._process.poll() is not None


@st.cache_resource(show_spinner=False, ttl=AGAIN)
def _question() -> SpeedQuestion:
    return SpeedQuestion()


def machine_line() -> None:
    """Draw the line; until the answer is there it looks again every two seconds."""
    question, before = None, kept_speed()
    unsure = before is None or before.busy
    working = unsure and any(row.state in ACTIVE for row in run_rows())
    if unsure and not working:  # the program's own runs would make it look slow
        with suppress(RunFailed, OSError):  # no process can be started
            question = _question()
    waiting = question is not None and not question.over

    @st.fragment(run_every=2 if waiting else None)
    def live() -> None:
        speed = kept_speed()
        if question and waiting and (speed != before or question.over):
            st.rerun()  # which ends the looking again
        if speed is not None:
            st.markdown(f":material/memory: {plain(told(speed))}")
        elif waiting:
            st.caption(":material/memory: Looking at what this machine can do …")
        elif working:
            st.caption(":material/memory: How fast this machine is will be measured when no run works.")
        else:
            st.caption(":material/memory: How fast this machine is could not be measured; demos can be tried anyway.")

    live()


def told(speed: Speed) -> str:
    """Say the device and, of a processor, how long the quickest and the slowest demo take here."""
    if speed.device.startswith(("cuda", "mps")):  # demos were timed on processors, whose passes tell nothing of it
        return "This machine computes with a GPU. How long demos take was measured on processors only."
    device = counted(speed.threads, "CPU thread")
    times, reference = demo_times(), reference_speed()
    known = [(name, sum(times[name])) for name in SHOWN if name in times]
    if reference is None or not known:
        return f"This machine computes with {device}."
    ends = min(known, key=lambda one: one[1]), max(known, key=lambda one: one[1])
    spent = [in_minutes(long) if speed.busy else in_words(seconds_here(long, speed, reference)) for _, long in ends]
    demos = (
        f"a first run of the quickest demo ({ends[0][0]}) takes {spent[0]}, of the slowest ({ends[1][0]}) {spent[1]}, "
        "with the recoveries that later runs take over"
    )
    if speed.busy:
        return (
            f"This machine computes with {device}, which other programs used when its speed was measured: a later "
            f"visit measures again. On two idle CPU cores {demos}."
        )
    return f"This machine computes with {device}. Here {demos}. The methods' cards tell times of two idle CPU cores."
