"""Inversion: recover images from a teacher in up to three ways, watch them appear, look through all of them."""

import streamlit as st

from dfml.ui.inversion.form import inversion_form
from dfml.ui.inversion.recoveries import recovery_gallery
from dfml.ui.inversion.view import watch_recovery
from dfml.ui.runs.run_rows import choose_run, form_box, run_rows
from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Inversion")
st.caption(
    "A teacher's weights remember what its training images looked like. **Inversion** starts from noise and changes "
    "the images until the teacher sees the wanted class in them. **Inverters** differ in what they change, and in "
    "how long that takes."
)

form, view = form_box("New recovery", "inversion"), st.container()
with view:
    rows = run_rows("invert")
    watch, gallery = st.tabs(["Watch", "Gallery"], key="view", bind="query-params")
    with watch:
        watch_recovery(choose_run(rows, key="inversion_run"))
    with gallery:
        recovery_gallery(rows)
# After the view, so that runs can be watched while the form waits for PyTorch.
if form.open:
    with form:
        inversion_form()
