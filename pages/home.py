"""Home: what data-free meta-learning is, the way through the app, and what is here. Imports no torch."""

import streamlit as st

from dfml.ui.widgets.navigation import within_app
from dfml.ui.zoo.home import recent_runs, steps, zoo_cards

within_app()
st.title("Learn to learn, without any data")
st.markdown(
    "You have a **zoo** of trained classifiers, but none of the images that they were trained on. "
    "**Data-free meta-learning** recovers images from those classifiers and makes small tasks of them. "
    "On these tasks it trains one **meta-model** that learns a new class from one to five images.",
    width=820,
)
steps()

st.subheader("Zoos in this app", anchor=False)
zoo_cards()

st.subheader("Recent runs", anchor=False)
recent_runs()
