"""The app's pages: which there are and where they lie.

Streamlit takes a folder ``pages/`` for an app of its older kind: the first link to a fresh server runs the file whose
stem stands in the address, without ``app.py``. So each address is a file's stem, and each file begins with
``within_app``, which hands such a visit over to ``app.py``.
"""

from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dfml.ui.widgets.scenes import begin_visit


class Page(NamedTuple):
    """A page's file, and the title and icon of what leads to it."""

    file: str
    title: str
    icon: str


PAGES = (
    HOME := Page("pages/home.py", "Home", ":material/home:"),
    ZOO := Page("pages/zoo.py", "Model zoo", ":material/pets:"),
    INVERSION := Page("pages/inversion.py", "Inversion", ":material/image_search:"),
    TRAINING := Page("pages/training.py", "Meta-training", ":material/model_training:"),
    ADAPTATION := Page("pages/adaptation.py", "Adaptation", ":material/bolt:"),
    COMPARE := Page("pages/compare.py", "Compare", ":material/bar_chart:"),
    GUIDE := Page("pages/guide.py", "Guide", ":material/school:"),
)
"""As the navigation shows them."""
_START = "pages/start.py"
_DECLARED = "_pages_declared"
SMALL_LOGO = str(Path(__file__).with_name("logo_small.svg"))


def declare_pages() -> StreamlitPage:
    """Tell Streamlit the window's title and the pages; return the page that the address names."""
    # The icon is a file of this project: browsers would fetch a named one, such as a page's, from the internet.
    st.set_page_config(page_title="DFML Studio", page_icon=SMALL_LOGO, layout="wide")
    st.session_state[_DECLARED] = True
    page = st.navigation(
        [
            # The address of a default page is `/`; its own path leads nowhere, so it is one that nobody tries.
            st.Page(HOME.file, title=HOME.title, icon=HOME.icon, url_path="index", default=True),
            *(st.Page(file, title=title, icon=icon) for file, title, icon in PAGES[1:]),
            # These do get tried; they lead to the default page.
            st.Page(_START, title="Home", visibility="hidden"),
            st.Page(_START, title="Home", url_path="home", visibility="hidden"),
        ]
    )
    begin_visit(page.url_path)
    if page.url_path not in ("zoo", "inversion", "training"):
        # Who goes through the pages fast finds the run of the last page in the address of the next.
        st.query_params.pop("run", None)
    return page


def within_app() -> None:
    """Begin a page: where it runs without ``app.py``, declare the pages and run again, within it."""
    if _DECLARED not in st.session_state:
        declare_pages()
        st.rerun()
