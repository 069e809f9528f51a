"""The calibration on the adaptation page: its switch and options, its progress, and what it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st

from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.charts.curves import curves
from dfml.ui.widgets.forms import all_options, lasting
from dfml.ui.widgets.galleries import from_arrays, show_strip
from dfml.ui.widgets.texts import percent, plain, show_chart

if TYPE_CHECKING:
    from dfml.meta.adaptation import Adaptation

WHAT = (
    "ICFIL, the second part of PURER: images of your classes are recovered from the adapted model, and its features "
    "of real and recovered images of a class are pulled together. It looks at the support images only. Whether it "
    "helps depends on the model, so the answers before and after stand side by side."
)
CHANGED = "Query images whose most likely class is another one after the calibration."
RECOVERED = "Share of the recovered images that the adapted model takes for their class."


def choose_calibration() -> tuple[tuple[str, Any], ...] | None:
    """Draw the switch and, where it is on, the options; return their names and values, or None."""
    if not lasting(st.toggle, "Calibrate (ICFIL)", key="calibrate", help=WHAT):
        return None
    st.caption(WHAT)
    from dfml.meta.calibration import Icfil

    with st.expander("Options of the calibration", icon=":material/tune:"):
        values = all_options(Icfil.preset("demo"), st.grid(4, min_column_width=150), key="icfil")
    return tuple(sorted(Icfil.Config.parse(values).model_dump().items()))


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Draw a bar that is gone when the work is done; it gives a function that takes step, total and text."""
    place = st.empty()

    def show(step: int, total: int, text: str) -> None:
        place.progress(step / total, text=f"{text[:1].upper()}{text[1:]}, step {step} of {total}")

    try:
        yield show
    finally:
        place.empty()


def points(after: float, before: float) -> str | None:
    """Return a difference of two fractions in points, with its sign; None where there is none."""
    return f"{100 * (after - before):+.1f} points" if after != before else None


def changed_rows(outcome: Adaptation, chosen: Chosen) -> list[dict[str, str]]:
    """Return a row for each query image whose class changed: what it shows, and both answers."""
    rows, chances = [], zip(outcome.probabilities.tolist(), outcome.uncalibrated.tolist(), strict=True)
    for number, (after, before) in enumerate(chances):
        old, new = (max(range(len(row)), key=row.__getitem__) for row in (before, after))
        if old == new:
            continue
        truth, was, now = chosen.query[number][0], outcome.classes[old], outcome.classes[new]
        verdict = "right" if truth == now else "no longer right" if truth == was else "still wrong"
        rows.append(
            {
                "Query image": str(number + 1),
                "It is": truth or "–",
                "Before": f"{was} ({before[old]:.0%})",
                "After": f"{now} ({after[new]:.0%})",
                "Now": verdict if truth else "–",
            }
        )
    return rows


def draw_calibration(outcome: Adaptation, chosen: Chosen) -> None:
    """Draw what it did: the loss, the recovered images beside the real ones, and the changed answers."""
    found, (on_support, _) = outcome.calibration, outcome.calibrated_accuracy
    st.subheader("What the calibration did", anchor=False)
    rows, change = changed_rows(outcome, chosen), points(on_support, outcome.support_accuracy[-1])
    text = "After the calibration, and the difference from before."
    with st.container(horizontal=True):
        st.metric("Answers changed", f"{len(rows)} of {len(outcome.probabilities)}", border=True, help=CHANGED)
        st.metric("Support images right", percent(on_support), change, border=True, help=text)
        st.metric("Recovered as asked", percent(found.recovered_accuracy), border=True, help=RECOVERED)
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
                    show_strip(pictures[:5], f"{kind} images of {name}", columns=5)
        st.caption(
            "Recovered images are what the model itself takes for a class after these few examples. They need not "
            "look like it to us."
        )
    with right:
        loss = {"contrastive loss": (range(len(found.contrast)), found.contrast)}
        chart = curves(loss, y="contrastive loss", x="calibration step", height=240)
        ends = f"from {found.contrast[0]:.2f} to {found.contrast[-1]:.2f}"
        show_chart(chart, key="contrast", alt=f"Contrastive loss, {ends}")
        st.caption("0 would mean: each support image's features point to its own class's recovered images alone.")
    if rows:
        st.markdown("**Query images that changed their class**")
        st.dataframe(rows, hide_index=True, width="stretch", key="changed")
    else:
        st.caption("No query image changed its class; only the confidences moved.")
