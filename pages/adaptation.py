"""Adaptation: a meta-model learns the reader's classes from a few images and classifies others."""

import streamlit as st

from dfml.ui.adaptation.choose_images import choose_pictures
from dfml.ui.adaptation.view import choose_model, classify
from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Adaptation")
st.caption(
    "Show a meta-model a few labelled images (the **support set**). It adapts to them, by a few gradient steps or by "
    "the mean features of each class, and then classifies the **query** images."
)

model = choose_model()
st.subheader("Support and query images", anchor=False)
chosen = choose_pictures()
if model is not None:
    st.subheader("Classify", anchor=False)
    classify(*model, chosen)
