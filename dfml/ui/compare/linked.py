"""Choices of this page that stand in its link under short values, of one or of several options."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def linked(
    widget: Callable[..., Any],
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str | list[str] | None,
    **look: Any,  # noqa: ANN401 - as the widget's
) -> Any:  # noqa: ANN401 - the widget's value
    """Draw a choice among ``options`` and return it; the link names the options themselves, whatever is shown of them.

    Streamlit's own binding would write the shown words. ``default`` is what a link without ``key`` means: a list makes
    the choice one of several. What the link or an earlier choice names and is no longer offered is left out.
    """
    state, several = f"linked:{key}", isinstance(default, list)
    kept = st.session_state.setdefault("_linked", {})
    asked = st.query_params.get_all(key)
    back = getattr(get_script_run_ctx(), "is_history_navigation", False)
    if not asked and not back and key in kept and kept[key][1]:
        # The page was left, which takes its choices out of the link, and opened again.
        st.query_params[key] = asked = kept[key][0]
        kept.pop(key)
    if key not in kept or asked != kept[key][0]:
        wanted = [value for value in asked if value in options]
        # An empty list of several is a choice, too.
        found = wanted if several and asked else (wanted or [default])[0]
        st.session_state[state] = found
        kept[key] = asked, bool(asked)
    elif state not in st.session_state:
        st.session_state[state] = default
    now = st.session_state[state]
    if several:
        st.session_state[state] = [value for value in now or [] if value in options]
    elif now not in options:
        st.session_state[state] = default

    def put() -> None:
        chosen = st.session_state[state]
        words = list(chosen) or [""] if several else [chosen or ""]
        st.query_params[key] = words
        kept[key] = words, True

    return widget(label, options, key=state, on_change=put, **look)


def choose(**choices: Sequence[str]) -> None:
    """Let the next script run of the page begin with these choices, by their keys; it is one step of Back."""
    st.query_params.update({key: list(values) or [""] for key, values in choices.items()})
