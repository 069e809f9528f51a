"""Inversion: recover pictures from a teacher, watch them appear, look through all that were recovered."""

import streamlit as st

from dfml.ui.inversion_view import no_recovery_yet, recovery_gallery, watch_recovery
from dfml.ui.new_run import inversion_form
from dfml.ui.run_chooser import choose_run, form_box
from dfml.ui.run_store import run_rows

st.title("Inversion")
st.caption(
    "A teacher's weights remember what its training pictures looked like. **Inversion** starts from noise and changes "
    "the pixels until the teacher sees the wanted class in them."
)

form, view = form_box("New recovery", "inversion"), st.container()
with view:
    rows = run_rows("invert")
    watch, gallery = st.tabs(["Watch", "Gallery"], key="view", bind="query-params")
    with watch:
        row = choose_run(rows, key="inversion_run")
        if row:
            watch_recovery(row)
        else:
            no_recovery_yet()
    with gallery:
        recovery_gallery(rows)
# After the view, so that runs can be watched while the form waits for PyTorch.
if form.open:
    with form:
        inversion_form()
