"""The button that plays the whole idea in one minute, at the place where it stands."""

import streamlit as st

from dfml.ui.guide.minute import draw_minute
from dfml.ui.widgets.navigation import ADAPTATION, GUIDE, TRAINING

PARAMETER = "minute"
NEXT = (
    (GUIDE, "Go through it step by step: lesson 1", {"lesson": "1"}),
    (ADAPTATION, "Show a ready model new pictures", {"set": "living-things"}),
    (TRAINING, "Train a model yourself", {"method": "purer"}),
)
"""Where a reader goes on after the minute."""


def minute_button() -> None:
    """Draw the button, and the replay once it was pressed; the link says so (``?minute=1``)."""
    playing = st.query_params.get(PARAMETER) == "1"
    if st.button(
        "Close the minute" if playing else "See it in one minute",
        icon=":material/close:" if playing else ":material/play_circle:",
        type="secondary" if playing else "primary",
        key="home:minute",
    ):
        if playing:
            del st.query_params[PARAMETER]
        else:
            st.query_params[PARAMETER] = "1"
        st.rerun()
    if playing:
        draw_minute("home:replay")
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            st.markdown("**What next?**", width="content")
            for page, text, link in NEXT:
                st.page_link(page.file, label=text, icon=page.icon, query_params=link, width="content", help="")
