"""Compare: all runs and recorded ones side by side."""

import streamlit as st

from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Compare")
