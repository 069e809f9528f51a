"""Guide: eight lessons, one idea each."""

import streamlit as st

from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Guide")
