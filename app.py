"""DFML Studio: `streamlit run app.py`.

Page config, navigation, sidebar. Each page's `url_path` differs from its file's name on purpose:
otherwise a first link straight to a page of a cold server would run the page without this file. The icon
is a file of this project: browsers would fetch a named one from the internet.
"""

import streamlit as st

from dfml.ui.sidebar import LOGO, SMALL_LOGO, draw_sidebar

st.set_page_config(page_title="DFML Studio", page_icon=SMALL_LOGO, layout="wide")

page = st.navigation(
    [
        st.Page("app_pages/home.py", title="Home", icon=":material/home:", url_path="start", default=True),
        st.Page("app_pages/model_zoo.py", title="Model zoo", icon=":material/pets:", url_path="zoo"),
        st.Page("app_pages/inversion_lab.py", title="Inversion", icon=":material/image_search:", url_path="inversion"),
        st.Page(
            "app_pages/training_lab.py", title="Meta-training", icon=":material/model_training:", url_path="training"
        ),
        st.Page("app_pages/adaptation_lab.py", title="Adaptation", icon=":material/bolt:", url_path="adaptation"),
    ]
)
st.logo(LOGO, icon_image=SMALL_LOGO)
draw_sidebar()
page.run()
