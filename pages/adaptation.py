"""Adaptation: a meta-model learns the reader's classes from a few images and classifies others."""

import streamlit as st

from dfml.ui.adaptation.view import draw_page
from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Adaptation")
st.caption(
    "A meta-model learns new classes from a few pictures, the **support set**, and says which one each **query** shows."
)
draw_page()
