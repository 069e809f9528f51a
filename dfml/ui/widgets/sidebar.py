"""The sidebar below the navigation: the jobs that run now, and the device."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dfml.ui.runs.run_rows import RunRow, page_of, run_rows
from dfml.ui.widgets.device_line import describe_device, device_question
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import chip

LOGO = str(Path(__file__).with_name("logo.svg"))


def _active_rows() -> list[RunRow]:
    return [row for row in run_rows() if row.active]


def draw_sidebar() -> None:
    """Draw both; the timer runs only while there is something to wait for."""
    waiting = device_question().answer() is None or bool(_active_rows())
    drawn = False

    def live() -> None:
        nonlocal drawn
        waits = _live_part()
        if waiting and drawn and not waits:
            # The last job ended: one full run redraws the page and leaves the timer out. Never within a full run, which
            # would lose the click that it came from.
            st.rerun()
        drawn = True

    with st.sidebar:
        st.fragment(live, run_every=2 if waiting else None)()


def _live_part() -> bool:
    """Draw it; returns whether there is anything to wait for."""
    rows = _active_rows()
    known = device_question().answer()
    st.markdown("**Running and waiting**" if any(row.state == "queued" for row in rows) else "**Running now**")
    if not rows:
        st.caption("Nothing is running.")
    for row in rows[:6]:
        page, parameters = page_of(row)
        look = chip(row.state)
        title = f"{look.sign} {plain(row.title)}"
        st.page_link(page, label=title, query_params=parameters, help=f"{look.word}; open it")
        if row.total:
            told = [look.word, f"{row.step} of {row.total}", *([row.left] if row.left else [])]
            st.progress(row.share or 0.0, text=", ".join(told))
        else:
            st.caption(look.word)
    if len(rows) > 6:
        st.caption(f"and {len(rows) - 6} more")
    st.markdown("**Device**")
    st.caption(f":material/memory: {describe_device(known) if known else 'looking for devices …'}")
    return known is None or bool(rows)
