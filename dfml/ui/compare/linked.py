"""Choices of several options that stand in the page's link by the options themselves."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dfml.ui.widgets.scenes import going_through_history


def linked_choices(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: Sequence[str],
    format_func: Callable[[str], str],
    **look: Any,  # noqa: ANN401 - as of st.multiselect
) -> list[str]:
    """Draw a choice of several ``options`` and return them, in the order in which they were chosen.

    Streamlit's own binding would write the shown words into the link. ``default`` is what a link without ``key`` means;
    an empty ``key`` means none. What the link or an earlier choice names and is no longer offered is left out.
    """
    state, seen = f"linked:{key}", st.session_state.setdefault("_linked", {})
    asked = st.query_params.get_all(key)
    if not asked and not going_through_history() and seen.get(key):
        # The page was left, which takes its choices out of the link, and opened again.
        st.query_params[key] = asked = seen.pop(key)
    if asked != seen.get(key) or state not in st.session_state:
        st.session_state[state] = [value for value in dict.fromkeys(asked or default) if value in options]
        seen[key] = asked
    else:
        st.session_state[state] = [value for value in st.session_state[state] if value in options]

    def put() -> None:
        # An empty value says that nothing is chosen, which is another thing than no value.
        st.query_params[key] = seen[key] = list(st.session_state[state]) or [""]

    return st.multiselect(label, options, key=state, on_change=put, format_func=format_func, **look)


def choose(**choices: Sequence[str]) -> None:
    """Let the next script run of the page begin with these choices, by their keys; it is one step of Back."""
    st.query_params.update({key: list(values) or [""] for key, values in choices.items()})
