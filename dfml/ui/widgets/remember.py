"""Choices that outlive their widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

T = TypeVar("T")


def lasting(widget: Callable[..., T], label: str, *options: Sequence[str], key: str, **look: Any) -> T:  # noqa: ANN401 - as the widget's
    """Draw a widget whose value stands in the link as ``key``, and return the value.

    A bound choice leaves the link when another page is opened or its form is folded away. Here it comes back, unless
    the link says otherwise or ``options`` no longer offer it.
    """
    kept = st.session_state.setdefault("_kept", {})
    last = kept.get(key)
    if last is not None and key not in st.query_params and all(last in offered for offered in options):
        if getattr(get_script_run_ctx(), "is_history_navigation", False):
            # In a run that Back or Forward started, Streamlit gives a widget that the link does not name its default,
            # whatever is set here. Leaving a page takes its choices out of the link: that would be every such widget.
            st.rerun()
        if key not in st.session_state:
            st.session_state[key] = last
    kept[key] = widget(label, *options, key=key, bind="query-params", **look)
    return kept[key]
