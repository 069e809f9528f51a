"""The button that plays the whole idea in one minute, at the place where it stands."""

import streamlit as st

from dfml.ui.guide.minute import draw_minute

PARAMETER = "minute"


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
