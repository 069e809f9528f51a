"""Choices that outlive their widgets.

A choice that is bound to the link leaves the link when another page is opened or its form is folded
away. These two functions around such a widget bring it back, unless the link says otherwise.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

T = TypeVar("T")


def recall(key: str, options: Container | None = None) -> None:
    """Before the widget: set it to its last value, where neither the link nor the page has one.

    Args:
        key: The widget's key, which is also the parameter's name in the link.
        options: What it offers now; a last value outside is forgotten.
    """
    kept = st.session_state.get("_kept", {}).get(key)
    if kept is None or key in st.query_params or (options is not None and kept not in options):
        return
    if getattr(get_script_run_ctx(), "is_history_navigation", False):
        # In a run that Back or Forward started, Streamlit gives a widget that the link does not name its default,
        # whatever is set here. Leaving a page takes its choices out of the link, so that would be every such widget.
        st.rerun()
    if key not in st.session_state:
        st.session_state[key] = kept


def remember(key: str, value: T) -> T:
    """After the widget: keep its value; returns it."""
    st.session_state.setdefault("_kept", {})[key] = value
    return value
