"""DFML Studio: `streamlit run app.py`.

The frame of every page: navigation and sidebar. Which pages there are stands in `dfml/ui/widgets/navigation.py`.
"""

import streamlit as st

from dfml.ui.widgets.copy_link import copy_link
from dfml.ui.widgets.frame_style import frame_style
from dfml.ui.widgets.navigation import SMALL_LOGO, declare_pages
from dfml.ui.widgets.sidebar import LOGO, draw_sidebar

page = declare_pages()
st.logo(LOGO, icon_image=SMALL_LOGO)
draw_sidebar()
frame_style()
copy_link()
page.run()
