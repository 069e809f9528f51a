"""What one takes home from the adaptation page: the predictions, and the model in the forms that others read."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.remedies import PROGRAM
from dfml.meta.stored import require_onnx
from dfml.ui.adaptation.adapt import Form, Request, taken_home
from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.adaptation.judging import Answered, predictions_csv
from dfml.ui.widgets.texts import plain

FORMS: dict[Form, tuple[str, str, str]] = {
    "folder": ("Adapted model (zip)", "adapted-model.zip", ":material/deployed_code:"),
    "hub": ("Hugging Face folder (zip)", "hugging-face-folder.zip", ":material/hub:"),
    "onnx": ("ONNX graph", "adapted-model.onnx", ":material/schema:"),
    "web": ("Web page (zip)", "web-page.zip", ":material/language:"),
}
"""Label, file name and icon of each."""
NEEDS_ONNX = ("onnx", "web")
ABOUT = (
    "The adapted model is a folder like any meta-model's, with one output for each class: `MetaModel.load` opens it, "
    "and `adapt` and `export` take it on the command line. The Hugging Face folder runs without this program; the web "
    "page adapts in the browser, and holds your support images in the network's size. "
    f"`{PROGRAM} adapt --model MODEL --support DIR --out FOLDER` and `{PROGRAM} export` make them, too."
)


def draw_downloads(main: Answered, chosen: Chosen, request: Request) -> None:
    """Draw the buttons; ``request`` is what the answer of the chosen model was made of."""
    st.header("Take it home", anchor=False)
    missing = ""
    try:
        require_onnx()
    except BadInput as error:
        missing = plain(str(error))
    with st.container(horizontal=True):
        st.download_button(
            "Predictions (CSV)",
            lambda: predictions_csv(main, chosen),
            file_name="predictions.csv",
            mime="text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        for form, (label, file, icon) in FORMS.items() if not main.model.ensemble else ():
            lacks = missing if form in NEEDS_ONNX else ""
            st.download_button(
                label,
                partial(taken_home, request, form),
                file_name=file,
                mime="application/zip" if file.endswith(".zip") else "application/octet-stream",
                icon=icon,
                on_click="ignore",
                disabled=bool(lacks),
                help=lacks or None,
            )
    if missing and not main.model.ensemble:
        st.caption(f"ONNX graph and web page: {missing}")
    st.caption(ABOUT if not main.model.ensemble else "All teachers at once are no model of their own to take home.")
