"""Errors as one clear line, and empty states that say what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.ui.widgets.texts import plain


@contextmanager
def one_line_errors(*, stop: bool = False) -> Iterator[None]:
    """Show an error that is meant for people as its one line; others pass. ``stop`` also ends the page's script."""
    try:
        yield
    except DfmlError as error:
        st.error(plain(str(error)), icon=":material/error:")
        if stop:
            st.stop()


def empty_state(title: str, text: str, *, icon: str) -> None:
    """A quiet box in place of content that is not there yet: what will be here, and how to get it."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.markdown(f"{icon} **{title}**", text_alignment="center", width="stretch")
        st.caption(text, text_alignment="center")
