"""Meta-training: start runs, watch them, compare them."""

import streamlit as st

from dfml.ui.runs.panel import page_of_runs
from dfml.ui.runs.table import compare_runs, run_table
from dfml.ui.training.form import training_form
from dfml.ui.training.view import watch_training
from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Meta-training")
st.caption(
    "A **meta-model** is trained on tasks of recovered images, or on the teachers' weights alone, so that a *support "
    "set* of a few images teaches it new classes. Data-free methods learn from no real image, but for what the "
    "model's card names as *side information*: labelled validation images, a probe that was trained on real "
    "images, or reported accuracies."
)

tabs = {"Watch": watch_training, "Compare": compare_runs, "All runs": run_table}
page_of_runs("training", "New run", training_form, ["train", ""], tabs)
