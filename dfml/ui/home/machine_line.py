"""What this machine can do: its device, and how long the demos take here, measured once the page is drawn."""

import subprocess
import sys
from contextlib import suppress

import streamlit as st

from dfml.core.errors import RunFailed
from dfml.runs.costs.machine import Speed, demo_seconds, kept_speed, minutes_here, reference_speed
from dfml.runs.processes import start
from dfml.runs.status import ACTIVE
from dfml.ui.runs.run_rows import run_rows
from dfml.ui.widgets.texts import counted, plain

BUSY = 3
"""A slow pass takes so many times as long as a fast one only where others compute."""
SHOWN = ("dro", "purer", "distill", "tgr", "free", "bidf-mkd")
"""Of these methods, from the quickest demo to the slowest, the first and the last are told."""


class SpeedQuestion:
    """A process at low priority that times a short piece of work; it keeps its answer itself."""

    def __init__(self) -> None:
        none = subprocess.DEVNULL
        code = "import os, time; getattr(os, 'nice', int)(5); time.sleep(2); "
        code += "from dfml.runs.costs.machine import main; main()"
        self._process = start([sys.executable, "-c", code], {}, stdout=none, stderr=none, stdin=none)

    @property
    def over(self) -> bool:
        """Whether it has ended, with or without an answer."""
        return self._process.poll() is not None


@st.cache_resource(show_spinner=False)
def _question() -> SpeedQuestion:
    return SpeedQuestion()


def machine_line() -> None:
    """Draw the line; until the answer is there it looks again every two seconds."""
    question = None
    busy = kept_speed() is None and any(row.state in ACTIVE for row in run_rows())
    if kept_speed() is None and not busy:  # what else computes would be kept as this machine's speed
        with suppress(RunFailed, OSError):  # no process can be started
            question = _question()
    waiting = question is not None and not question.over

    @st.fragment(run_every=2 if waiting else None)
    def live() -> None:
        speed = kept_speed()
        if question and waiting and (speed is not None or question.over):
            st.rerun()  # which ends the looking again
        if speed is not None:
            st.markdown(f":material/memory: {plain(told(speed))}")
        elif waiting:
            st.caption(":material/memory: Looking at what this machine can do …")
        elif busy:
            st.caption(":material/memory: How fast this machine is will be measured when no run works.")
        else:
            st.caption(":material/memory: How fast this machine is could not be measured; demos can be tried anyway.")

    live()


def told(speed: Speed) -> str:
    """Say the device and, of a processor, how long the quickest and the slowest demo take here."""
    if speed.device.startswith(("cuda", "mps")):  # demos were timed on processors, whose passes tell nothing of it
        return "This machine computes with a GPU. How long demos take was measured on processors only."
    device = counted(speed.threads, "CPU thread")
    times, reference = demo_seconds(), reference_speed()
    known = [(name, times[name]) for name in SHOWN if name in times]
    if reference is None or not known:
        return f"This machine computes with {device}."
    (first, short), *_, (last, long) = sorted(known, key=lambda one: one[1])
    quick, slow = minutes_here(short, speed, reference), minutes_here(long, speed, reference)
    busy = " It did other work, too, when it was measured." if speed.slow > BUSY * speed.fast else ""
    return (
        f"This machine computes with {device}. The shortest demo ({first}) takes {in_minutes(*quick)} here, the "
        f"longest ({last}) {in_minutes(*slow)}.{busy}"
    )


def in_minutes(least: float, most: float) -> str:
    """Say a range of minutes in words, in seconds where it is short."""
    if most < 1.5:
        low, high = max(1, round(60 * least / 5) * 5), max(5, round(60 * most / 5) * 5)
        return f"{low} to {high} s"
    low, high = max(1, round(least)), max(1, round(most))
    return f"{low} to {high} min" if low < high else f"about {high} min"
