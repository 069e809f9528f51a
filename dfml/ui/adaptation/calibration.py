"""The calibration on the adaptation page: its switch and options, its progress, and what it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import streamlit as st

from dfml.ui.adaptation.adapt import Answer, CalibrationAnswer
from dfml.ui.adaptation.choose_images import Chosen
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.curves import curves
from dfml.ui.widgets.forms import all_options
from dfml.ui.widgets.galleries import from_arrays, open_thumbnails, strip
from dfml.ui.widgets.metrics import percent
from dfml.ui.widgets.remember import recall, remember
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import palette

WHAT = (
    "ICFIL, the second part of PURER: pictures of your classes are recovered from the adapted model, and its features "
    "of real and recovered pictures of a class are pulled together. It looks at the support pictures only. Whether it "
    "helps depends on the model, so the answers before and after stand side by side."
)


def choose_calibration() -> dict | None:
    """Draw the switch and, where it is on, the options; returns their values, or None."""
    recall("calibrate")
    on = st.toggle("Calibrate (ICFIL)", key="calibrate", bind="query-params", help=WHAT)
    if not remember("calibrate", on):
        return None
    from dfml.meta.calibration import Icfil

    st.caption(WHAT)
    with st.expander("Options of the calibration", icon=":material/tune:"):
        values = all_options(Icfil.preset("demo"), st.grid(4, min_column_width=150), key="icfil")
    return Icfil.Config.parse(values).model_dump()


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar that is gone when the work is done; gives a function that takes step, total and text."""
    place = st.empty()

    def show(step: int, total: int, text: str) -> None:
        place.progress(step / total, text=f"{text[:1].upper()}{text[1:]}, step {step} of {total}")

    try:
        yield show
    finally:
        place.empty()


def points(after: float, before: float) -> str | None:
    """A difference of two fractions in points, with its sign; None where there is none."""
    return f"{100 * (after - before):+.1f} points" if after != before else None


def changed_rows(answer: Answer, chosen: Chosen) -> list[dict[str, str]]:
    """A row for each query picture whose class changed: what it shows, and both answers."""
    rows = []
    for number, (after, before) in enumerate(zip(answer.probabilities, answer.calibration.before, strict=True)):
        old, new = (max(range(len(row)), key=row.__getitem__) for row in (before, after))
        if old != new:
            truth = chosen.query[number][0]
            rows.append(
                {
                    "Query picture": str(number + 1),
                    "It is": truth or "–",
                    "Before": f"{answer.classes[old]} ({before[old]:.0%})",
                    "After": f"{answer.classes[new]} ({after[new]:.0%})",
                    "Now": _verdict(truth, answer.classes[old], answer.classes[new]),
                }
            )
    return rows


def _verdict(truth: str, old: str, new: str) -> str:
    if not truth:
        return "–"
    return "right" if truth == new else "no longer right" if truth == old else "still wrong"


def draw_calibration(answer: Answer, chosen: Chosen) -> None:
    """What the calibration did: the loss, the recovered pictures beside the real ones, and the changed answers."""
    found: CalibrationAnswer = answer.calibration
    st.subheader("What the calibration did", anchor=False)
    rows = changed_rows(answer, chosen)
    with st.container(horizontal=True):
        st.metric(
            "Answers changed",
            f"{len(rows)} of {len(answer.probabilities)}",
            border=True,
            help="Query pictures whose most likely class is another one after the calibration.",
        )
        st.metric(
            "Support pictures right",
            percent(found.support_accuracy),
            points(found.support_accuracy, answer.support_accuracy[-1]),
            border=True,
            help="After the calibration, and the difference from before.",
        )
        st.metric(
            "Recovered as asked",
            percent(found.recovered_accuracy),
            border=True,
            help="Share of the recovered pictures that the adapted model takes for their class.",
        )
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**Support pictures, and those recovered from the adapted model**")
        recovered = from_arrays(found.pictures)
        for slot, (name, files) in enumerate(chosen.support.items()):
            own = [picture for picture, label in zip(recovered, found.labels, strict=True) if label == slot]
            _class_row(name, files, own)
        st.caption(
            "Recovered pictures are what the model itself takes for a class after these few examples. They need not "
            "look like it to us."
        )
    with right:
        show_chart(
            curves(
                {"contrastive loss": (range(len(found.contrast)), found.contrast)},
                y="contrastive loss", x="calibration step", palette=palette(), height=240,
            ),
            key="contrast",
            alt=f"Contrastive loss, from {found.contrast[0]:.2f} to {found.contrast[-1]:.2f}",
        )  # fmt: skip
        st.caption("0 would mean: each support picture's features point to its own class's recovered pictures alone.")
    if rows:
        st.markdown("**Query pictures that changed their class**")
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", key="changed")
    else:
        st.caption("No query picture changed its class; only the confidences moved.")


def _class_row(name: str, files: list[Path], recovered: list) -> None:
    label, real, pseudo = st.columns([2, 5, 5], vertical_alignment="center", gap="small")
    label.markdown(plain(name))
    real.image(
        strip(open_thumbnails(files[:5]), side=96, columns=5), width="stretch", alt=f"support pictures of {name}"
    )
    pseudo.image(strip(recovered[:5], side=96, columns=5), width="stretch", alt=f"recovered pictures of {name}")
