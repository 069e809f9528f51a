"""Meta-training: start runs, watch them, compare them."""

import streamlit as st

from dfml.ui.runs.run_rows import choose_run, form_box, run_rows
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

form, view = form_box("New run", "training"), st.container()
with view:
    rows = run_rows("train", "")
    watch, compare, every = st.tabs(["Watch", "Compare", "All runs"], key="view", bind="query-params")
    with watch:
        watch_training(choose_run(rows, key="training_run"))
    with compare:
        compare_runs(rows)
    with every:
        run_table(rows)
# After the view, so that runs can be watched while the form waits for PyTorch.
if form.open:
    with form:
        training_form()
