"""The button that copies the page's address, which holds all that was chosen.

Its script is in every page, so it also keeps the browser's history, and lets the keyboard reach what scrolls.
"""

from pathlib import Path

import streamlit as st
from streamlit.components import v2

KEY = "copy_link"
_HERE = Path(__file__)
# A link, as an icon font would have to be there before the button is.
_ICON = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.5 1.5'
    'M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.5-1.5"/></svg>'
)
_mount = v2.component(
    "dfml_copy_link",
    html=f'<button type="button">{_ICON}<span>Copy link</span></button><output></output>'
    '<input type="text" readonly hidden aria-label="The link to this page">',
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


def copy_link() -> None:
    """Draw the button. It is part of the frame, so that the browser keeps it from page to page."""
    with st.container(key=KEY):
        _mount(key="copy_link_button")
