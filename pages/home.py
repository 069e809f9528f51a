"""Home: the way from noise to a prediction, shown with recorded runs, and what is here. Imports no torch."""

import streamlit as st

from dfml.runs.recorded.scene import read_scene
from dfml.ui.home.cards import run_cards, zoo_cards
from dfml.ui.home.machine_line import machine_line
from dfml.ui.home.minute_button import minute_button
from dfml.ui.home.stations import headline, pipeline_strip, why_numbers_differ
from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Learn to learn, without any data")
scene = read_scene()
st.markdown(
    "You have a **zoo** of trained classifiers, but none of the images that they were trained on. **Data-free "
    "meta-learning** recovers images from them, and trains one model that learns new classes from a few pictures."
)
minute_button()
pipeline_strip(scene)
if scene and scene.shown in scene.models:
    st.markdown(headline(scene))
    if why := why_numbers_differ(scene):
        st.caption(why)
machine_line()
st.header("Zoos in this app", anchor=False)
zoo_cards()
st.header("Your runs", anchor=False)
run_cards()
