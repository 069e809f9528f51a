"""Leads to the first page, whose only address is `/`, from the others that it is looked for under."""

import streamlit as st

from dfml.ui.widgets.navigation import HOME, within_app

within_app()
st.switch_page(HOME.file)
