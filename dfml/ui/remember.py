"""Choices that outlive their widgets.

A choice that is bound to the link leaves the link when another page is opened or its form is folded
away. These two functions around such a widget bring it back, unless the link says otherwise.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

import streamlit as st

T = TypeVar("T")


def recall(key: str, options: Container | None = None) -> None:
    """Before the widget: set it to its last value, where neither the link nor the page has one.

    Args:
        key: The widget's key, which is also the parameter's name in the link.
        options: What it offers now; a last value outside is forgotten.
    """
    kept = st.session_state.get("_kept", {}).get(key)
    if kept is None or key in st.query_params or key in st.session_state:
        return
    if options is None or kept in options:
        st.session_state[key] = kept


def remember(key: str, value: T) -> T:
    """After the widget: keep its value; returns it."""
    st.session_state.setdefault("_kept", {})[key] = value
    return value
