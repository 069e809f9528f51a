"""Which run a page shows. The choice stands in the link as ``run``, so a reload keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from dfml.ui.inversion.comparisons import Comparison
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.theme import chip

if TYPE_CHECKING:
    from streamlit.elements.lib.mutable_expander_container import ExpanderContainer

One = TypeVar("One", RunRow, Comparison)
NEXT = "_next_run"
FORM_OPEN = "new_run_open"


def go_to_run(name: str) -> None:
    """Let the next script run show this run, with the form folded away, and start that script run now."""
    st.session_state[NEXT] = name
    st.rerun()


def form_box(title: str, page: str) -> ExpanderContainer:
    """Draw the box of the form that starts runs: open at first, folded where the link names a run.

    Its content is drawn only while ``open`` is true, so that watching a run needs no torch.
    """
    key = f"{FORM_OPEN}:{page}"
    first = st.session_state.setdefault(f"_first:{page}", "run" not in st.query_params)
    if NEXT in st.session_state:
        st.session_state[key] = False
    return st.expander(f"**{title}**", expanded=first, key=key, icon=":material/add_circle:", on_change="rerun")


def label(row: RunRow | Comparison) -> str:
    """A run's line in the chooser. It stays true while the run works: no state that may have changed since."""
    look = chip(row.state)
    sign, state = ("▶", "") if row.active else (look.sign, f" · {look.word}")
    seed = f" · seed {row.spec.seed}" if row.spec and not row.spec.label else ""
    return f"{sign} {row.title}{seed}{state} · {started_at(row.created)}"


def unique(lines: dict[str, str]) -> dict[str, str]:
    """Lines of a chooser by folder name; equal ones also show the end of that name, as a browser sends the line."""
    often = Counter(lines.values())
    return {name: line if often[line] == 1 else f"{line} · {name[-6:]}" for name, line in lines.items()}


def started_at(created: float) -> str:
    """The local time of a run's start: ``14:05`` today, ``21 Nov 14:05`` before."""
    today = datetime.fromtimestamp(created).date() == datetime.now().date()
    return f"{datetime.fromtimestamp(created):%H:%M}" if today else minute(created)


def minute(created: float) -> str:
    """The local day and time, as ``21 Nov 14:05``."""
    return f"{datetime.fromtimestamp(created):%d %b %H:%M}"


def choose_run(rows: Sequence[One], *, key: str, also: Mapping[str, str] | None = None) -> One | None:
    """Draw the chooser of a page's runs, the newest first; returns the chosen one, or None where there is none.

    ``also`` are other names that a link may say, each with the name of the entry that is meant.
    """
    if not rows:
        return None
    by_name = {row.name: row for row in rows}
    asked = st.session_state.pop(NEXT, None) or st.query_params.get("run")
    asked = (also or {}).get(asked, asked)
    if asked in by_name:
        st.session_state[key] = asked
    elif st.session_state.get(key) not in by_name:
        # A browser may still send the line that a run had before its state changed: the run stays.
        # A damaged folder may be the newest: it is listed, but not what the page opens with.
        last = st.session_state.get(f"_{key}")
        st.session_state[key] = last if last in by_name else next((row.name for row in rows if row.spec), rows[0].name)
        if asked:
            st.info("The run in the link is no longer here; the newest one is shown.", icon=":material/info:")
    lines = unique({row.name: label(row) for row in rows})

    def keep() -> None:
        if st.session_state[key] in by_name:
            st.query_params["run"] = st.session_state[key]

    text = "All runs, the newest first. They live in folders on this computer, so closing the browser loses nothing."
    name = st.selectbox(
        "Run",
        list(by_name),
        format_func=lambda option: lines.get(option, option),
        key=key,
        persist_state="session",
        on_change=keep,
        help=text,
    )
    st.session_state[f"_{key}"] = name
    if st.query_params.get("run") != name:
        st.query_params["run"] = name
    return by_name[name]
