"""Choices whose value, not its words, stands in the link."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def in_link(
    widget: Callable[..., Any],
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str = "",
    **look: Any,  # noqa: ANN401 - as the widget's
) -> str:
    """Draw a choice among values that stand in the link as ``key``; the default, else the first, is left out there.

    Where the link names another value than the last run saw, as after Back, the link decides.
    """
    default = default or options[0]
    asked = st.query_params.get(key, default)
    asked, own = asked if asked in options else default, f"choice:{key}"
    if st.session_state.get(f"_link:{key}") != asked or st.session_state.get(own) not in options:
        st.session_state[own] = st.session_state[f"_link:{key}"] = asked

    def keep() -> None:
        set_link(key, st.session_state[own] or default, default)

    return widget(label, options, key=own, on_change=keep, **look) or default


def share_in_link(label: str, *, key: str, own: str, **look: Any) -> int:  # noqa: ANN401 - as the slider's
    """Draw a slider of per cent, at its end by default, that stands in the link as ``key``; ``own`` is its own key."""
    text = st.query_params.get(key, "100")
    asked = int(text) if text.isdecimal() and len(text) < 4 and int(text) <= 100 else 100
    if st.session_state.get(f"_link:{own}") != asked or own not in st.session_state:
        st.session_state[own] = st.session_state[f"_link:{own}"] = asked

    def keep() -> None:
        st.session_state[f"_link:{own}"] = st.session_state[own]
        set_link(key, str(st.session_state[own]), "100")

    return int(st.slider(label, 0, 100, key=own, on_change=keep, step=5, format="%d %%", **look))


def set_link(key: str, value: str, default: str) -> None:
    """Put a value into the link, or take it out where it is the default."""
    st.session_state[f"_link:{key}"] = value
    if value == default:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = value
