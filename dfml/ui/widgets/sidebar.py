"""The sidebar below the navigation: the jobs that run now, and the device.

Devices are found by a short process of its own, so that the server never loads torch or CUDA.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path

import streamlit as st

from dfml.core.paths import runs_root
from dfml.runs.processes import start
from dfml.runs.status import ACTIVE
from dfml.ui.runs.run_rows import PAGE_OF, RunRow, run_rows
from dfml.ui.runs.shared import shared
from dfml.ui.widgets.metrics import chip
from dfml.ui.widgets.navigation import HOME
from dfml.ui.widgets.texts import counted, plain

LOGO = str(Path(__file__).with_name("logo.svg"))
# Late and at a low priority: the first page matters more than this line.
_QUESTION = """
import os, time; getattr(os, 'nice', int)(10)
from dfml.core.process import end_with_starter
end_with_starter(); time.sleep(1.5)
import json, torch
from dfml.nets.device import available_devices, pick_device
print(json.dumps({"devices": available_devices(), "auto": str(pick_device("auto")[0]),
                  "reason": pick_device("auto")[1], "threads": torch.get_num_threads()}))
"""


class DeviceQuestion:
    """A process that is asked once which devices there are."""

    def __init__(self) -> None:
        self._answer: dict | None = None
        self._lock = threading.Lock()  # every open page asks, and the pipe can be read once
        none, pipe = subprocess.DEVNULL, subprocess.PIPE  # the answer is short: a pipe holds it
        self._process = start([sys.executable, "-c", _QUESTION], {}, stdout=pipe, stderr=none, stdin=none, text=True)

    def answer(self) -> dict | None:
        """Return devices (best first), the one that ``auto`` takes, the reason, the number of threads; None so far."""
        with self._lock:
            if self._answer is None and self._process.poll() is not None:
                try:
                    self._answer = json.loads(self._process.communicate()[0].strip().splitlines()[-1])
                except (IndexError, ValueError):
                    self._answer = {"devices": ["cpu"], "auto": "cpu", "reason": "torch did not start", "threads": 0}
            return self._answer


@st.cache_resource(show_spinner=False)
def device_question() -> DeviceQuestion:
    """Return the one question of this server."""
    return DeviceQuestion()


def draw_sidebar() -> None:
    """Draw both; the timer runs only while there is something to wait for."""
    rows = _active()
    waiting, drawn = device_question().answer() is None or bool(rows), False

    def live() -> None:
        nonlocal drawn
        # What another page has just looked up is good enough between two full runs of this one.
        waits = _live_part(shared("sidebar", runs_root(), None, lambda _: _active(), young=1) if drawn else rows)
        if waiting and drawn and not waits:
            # The last job ended: one full run redraws the page and leaves the timer out. Never within a full run, which
            # would lose the click that it came from.
            st.rerun()
        drawn = True

    with st.sidebar:
        st.fragment(live, run_every=2 if waiting else None)()


def _active() -> list[RunRow]:
    return [row for row in run_rows() if row.state in ACTIVE]


def _live_part(rows: list[RunRow]) -> bool:
    """Draw jobs and device, and return whether there is anything to wait for."""
    known = device_question().answer()
    st.markdown("**Running and waiting**" if any(row.state == "queued" for row in rows) else "**Running now**")
    if not rows:
        st.caption("Nothing is running.")
    titles = [row.title for row in rows]
    for row in rows[:6]:
        look, link, page = chip(row.state), {"run": row.name}, PAGE_OF.get(row.kind, HOME)
        seed = f", seed {row.spec.seed}" if row.spec and titles.count(row.title) > 1 else ""
        title = f"{look.sign} {plain(row.title)}{seed}"
        st.page_link(page.file, label=title, query_params=link, help=f"{look.word}; open it")
        if row.total:
            told = [look.word, f"{row.step} of {row.total}", *([row.left] if row.left else [])]
            st.progress(row.share or 0.0, text=", ".join(told))
        else:
            st.caption(look.word)
    if len(rows) > 6:
        st.caption(f"and {len(rows) - 6} more")
    st.markdown("**Device**")
    if known is None:
        device = "looking for devices …"
    else:
        threads = f", {counted(known['threads'], 'thread')}" if known["auto"] == "cpu" and known["threads"] else ""
        device = f"{known['auto'].upper()}{threads}: {known['reason']}"
    st.caption(f":material/memory: {device}")
    return known is None or bool(rows)
