"""What a calibration did to a model's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.adaptation.judging import changed_rows, points
from dfml.ui.components.line_chart import Line, line_chart
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.widgets.galleries import from_arrays
from dfml.ui.widgets.texts import percent, plain

if TYPE_CHECKING:
    from dfml.meta.adaptation import Adaptation


def draw_calibration(outcome: Adaptation, chosen: Chosen) -> None:
    """Draw the loss, the recovered images beside the real ones, and the changed answers."""
    found, accuracy = outcome.calibration, outcome.calibrated_accuracy
    assert found is not None and accuracy is not None
    st.header("What the calibration did", anchor=False)
    rows, change = changed_rows(outcome, chosen.query), points(accuracy[0], outcome.support_accuracy[-1])
    text = "After the calibration, and the difference from before."
    changed = "Query images whose most likely class is another one after the calibration."
    taken = "Share of the recovered images that the adapted model takes for their class."
    with st.container(horizontal=True):
        st.metric("Answers changed", f"{len(rows)} of {len(outcome.probabilities)}", border=True, help=changed)
        st.metric("Support images right", percent(accuracy[0]), change, border=True, help=text)
        st.metric("Recovered as asked", percent(found.recovered_accuracy), border=True, help=taken)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**Support images, and those recovered from the adapted model**")
        recovered = from_arrays(found.pictures.numpy())
        for slot, (name, files) in enumerate(chosen.support.items()):
            own = [picture for picture, label in zip(recovered, found.labels.tolist(), strict=True) if label == slot]
            label, real, pseudo = st.columns([2, 5, 5], vertical_alignment="center", gap="small")
            label.markdown(plain(name))
            for cell, pictures, kind in ((real, files, "support"), (pseudo, own, "recovered")):
                with cell:
                    alt = f"{kind} images of {name}"
                    tile_grid(list(pictures[:5]), key=f"{kind}:calibrated:{slot}", alt=alt, side=44, pick=False)
        st.caption(
            "Recovered images are what the model itself takes for a class after these few examples. They need not "
            "look like it to us."
        )
    with right:
        ends = f"from {found.contrast[0]:.2f} to {found.contrast[-1]:.2f}"
        line_chart(
            [Line("contrastive loss", range(len(found.contrast)), found.contrast)],
            key="contrast",
            x="calibration step",
            y="contrastive loss",
            alt=f"Contrastive loss, {ends}",
            height=240,
        )
        st.caption("0 would mean: each support image's features point to its own class's recovered images alone.")
    if rows:
        st.markdown("**Query images that changed their class**")
        st.dataframe(rows, hide_index=True, width="stretch", key="changed")
    else:
        st.caption("No query image changed its class; only the confidences moved.")
