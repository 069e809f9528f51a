"""Files to take away: one of several is chosen, made while its box stands open, and then ready for the press.

Streamlit can also make a file at the press alone. Such a file is known by a name of one drawing of the page: a press
that meets the next drawing finds nothing. A file that is there already keeps its name for as long as its content.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from dfml.ui.widgets.metrics import megabytes
from dfml.ui.widgets.texts import one_line_errors, plain

ICON = ":material/download:"


@dataclass(frozen=True)
class File:
    """One that can be taken away.

    Attributes:
        label: What the reader chooses by, such as ``Table (CSV)``.
        name: Of the file.
        mime: Its media type.
        make: Gives its content, at each drawing while it is chosen; a ``BadInput`` is shown as one line.
        about: One sentence under the label.
        lacks: Why it cannot be had, if so.
    """

    label: str
    name: str
    mime: str
    make: Callable[[], bytes]
    about: str = ""
    lacks: str = ""


def take_away(files: Sequence[File], *, key: str, label: str = "Download") -> None:
    """Draw a button that opens the choice of files, of which the chosen one is made."""
    box = st.popover(label, icon=ICON, key=key, on_change="rerun")
    if not box.open:
        return
    by_label = {file.label: file for file in files}
    with box:
        captions = [plain(file.about) for file in files]
        chosen = st.radio("File", list(by_label), captions=captions, label_visibility="collapsed", key=f"{key}:file")
        file = by_label[chosen]
        if file.lacks:
            st.caption(file.lacks)
            return
        with one_line_errors():
            with st.spinner(f"Making {plain(file.name)} …"):
                content = file.make()
            st.download_button(
                f"Save {plain(file.name)} ({megabytes(len(content))})", content, file.name, file.mime,
                key=f"{key}:save", on_click="ignore", type="primary", width="stretch",
            )  # fmt: skip
