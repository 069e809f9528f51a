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
from dfml.ui.widgets.take_away import File, take_away
from dfml.ui.widgets.texts import plain

OWN = "A folder like any meta-model's, with an output for each class; command line and library open it."
HUB = "Runs without this program."
ONNX = "The adapted model for ONNX Runtime, from images to one score a class."
WEB = "Adapts in the browser; it holds your support images in the network's size."
FORMS: dict[Form, tuple[str, str, str]] = {
    "folder": ("Adapted model (zip)", "adapted-model.zip", OWN),
    "hub": ("Hugging Face folder (zip)", "hugging-face-folder.zip", HUB),
    "onnx": ("ONNX graph", "adapted-model.onnx", ONNX),
    "web": ("Web page (zip)", "web-page.zip", WEB),
}
"""Label, file name and use of each."""
NEEDS_ONNX = ("onnx", "web")
ABOUT = f"`{PROGRAM} adapt --model MODEL --support DIR --out FOLDER` and `{PROGRAM} export` make these, too."


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
            predictions_csv(main, chosen),
            file_name="predictions.csv",
            mime="text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        if not main.model.ensemble:
            files = [
                File(
                    label,
                    name,
                    "application/zip" if name.endswith(".zip") else "application/octet-stream",
                    partial(taken_home, request, form),
                    about,
                    missing if form in NEEDS_ONNX else "",
                )
                for form, (label, name, about) in FORMS.items()
            ]
            take_away(files, key="take-home", label="Model")
    st.caption(ABOUT if not main.model.ensemble else "All teachers at once are no model of their own to take home.")
