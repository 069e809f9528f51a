"""Inversion: recover images from a teacher in up to three ways, watch them appear, look through all of them."""

import streamlit as st

from dfml.ui.inversion.first_glance import first_glance
from dfml.ui.inversion.form import inversion_form
from dfml.ui.inversion.gallery import recovery_gallery
from dfml.ui.inversion.training_memory import browse_memory
from dfml.ui.inversion.view import watch_recovery
from dfml.ui.runs.panel import page_of_runs
from dfml.ui.widgets.navigation import within_app

within_app()
st.title("Inversion")
st.caption(
    "A teacher's weights hold what its classes look like to it. **Inversion** starts from noise and changes the "
    "images until the teacher sees the wanted class in them. **Inverters** differ in what they change, and in how "
    "long that takes."
)

first_glance()
tabs = {"Watch": watch_recovery, "Gallery": recovery_gallery, "Memory": browse_memory}
page_of_runs("inversion", "New recovery", inversion_form, ["invert"], tabs)
