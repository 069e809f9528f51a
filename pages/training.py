"""Meta-training: start runs and watch them."""

import streamlit as st

from dfml.ui.runs.panel import page_of_runs
from dfml.ui.training.form import training_form
from dfml.ui.training.view import watch_training
from dfml.ui.widgets.navigation import COMPARE, within_app

within_app()
# Views that stood here: links of older versions name them.
MOVED = {"Compare": "together", "All runs": "runs"}
if moved := MOVED.get(st.query_params.get("view", "")):
    st.switch_page(COMPARE.file, query_params={"show": moved})

st.title("Meta-training")
st.caption(
    "A **meta-model** is trained on tasks of recovered images, or on the teachers' weights alone, so that a *support "
    "set* of a few images teaches it new classes. A data-free method never trains on a real image. Some look at a "
    "little that is real all the same, such as labelled validation images, a network that was trained on real ones, or "
    "reported accuracies: the model's card lists it as *side information*."
)

page_of_runs("training", "New run", training_form, ["train", ""], {"Watch": watch_training})
st.page_link(COMPARE.file, label="All runs, and how they compare", icon=COMPARE.icon, help="")
