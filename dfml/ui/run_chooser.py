"""Which run a page shows. The choice stands in the link as ``run``, so a reload keeps it."""

from __future__ import annotations

import streamlit as st

from dfml.ui.run_store import RunRow
from dfml.ui.theme import chip

NEXT = "_next_run"


def go_to_run(name: str) -> None:
    """Let the next script run show this run, and start that script run now."""
    st.session_state[NEXT] = name
    st.rerun()


def label(row: RunRow) -> str:
    """A run's line in the chooser: sign, title, seed, state and age."""
    look = chip(row.state)
    seed = f" · seed {row.spec.seed}" if row.spec and not row.spec.label else ""
    return f"{look.sign} {row.title}{seed} · {look.word} · {row.age}"


def choose_run(rows: list[RunRow], *, key: str) -> RunRow | None:
    """Draw the chooser and return the chosen run, or None where there is none.

    Args:
        rows: The runs of this page, the newest first.
        key: The page's own key.
    """
    if not rows:
        return None
    by_name = {row.name: row for row in rows}
    asked = st.session_state.pop(NEXT, None) or st.query_params.get("run")
    if asked in by_name:
        st.session_state[key] = asked
    elif st.session_state.get(key) not in by_name:
        # A damaged folder may be the newest: it is listed, but not what the page opens with.
        st.session_state[key] = next((row.name for row in rows if row.spec), rows[0].name)
        if asked:
            st.info("The run in the link is no longer here; the newest one is shown.", icon=":material/info:")
    name = st.selectbox(
        "Run",
        list(by_name),
        format_func=lambda option: label(by_name[option]) if option in by_name else option,
        key=key,
        persist_state="session",
        on_change=lambda: st.query_params.update(run=st.session_state[key]),
        help="All runs, the newest first. They live in folders on this computer, so closing the browser loses nothing.",
    )
    if st.query_params.get("run") != name:
        st.query_params["run"] = name
    return by_name[name]
