"""The charts of a meta-training: every number of the run once, its teachers, and how far it relies on each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.names import natural
from dfml.runs.folder import RunFolder
from dfml.ui.charts.bars import teacher_policy_bars
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.curve_math import DENSE, Curve
from dfml.ui.charts.curves import Mark, curves
from dfml.ui.charts.similarity import similarity_matrix, teacher_map
from dfml.ui.runs.run_rows import plottable
from dfml.ui.widgets.metrics import LOSS_OF_TASKS, LOSS_OF_WEIGHTS, metric, percent
from dfml.ui.widgets.texts import listed, plain
from dfml.ui.widgets.theme import palette
from dfml.ui.zoo.choose_zoo import open_listing

Scalars = Mapping[str, Curve]
ACCURACIES = ("val/accuracy", "train/accuracy", "group/accuracy")
ON_CHARTS = ("train/loss", *ACCURACIES, "val/ci95", "tasks/diversity", "grad/alignment")
POLICY = "reliability/"
ELSEWHERE = (POLICY, "val/", "test/")
"""Drawn as bars, or told with the result."""
MOST_FURTHER, MANY_TEACHERS = 12, 14
"""Further numbers that are drawn; more bars than these scroll."""


def training_charts(run: RunFolder) -> None:
    """Draw loss, accuracy with its interval, diversity, and whatever else the method reports."""
    scalars = plottable(run)
    if not scalars:
        if run.status().active:
            st.skeleton(220)
            st.caption("The curves start with the first numbers.")
        return
    marks = [Mark(note.step, note.text) for note in run.notes() if note.kind == "adversarial"]
    grid = st.grid(2, min_column_width=360, gap="medium")
    if "train/loss" in scalars:
        with grid.cell():
            _chart("Outer loss", loss_help(scalars), {"loss": scalars["train/loss"]}, y="loss", marks=marks)
            if marks:
                steps = "1 adversarial step" if len(marks) == 1 else f"{len(marks)} adversarial steps"
                st.caption(f"◆ {steps}: the images were moved to be harder for the learner.")
    series = {metric(name).title: scalars[name] for name in ACCURACIES if name in scalars}
    if series:
        with grid.cell():
            text = "Guessing gives 1 / way: 20 % for five classes. The shade is the 95 % interval."
            _chart("Accuracy", text, series, key="accuracy", y="accuracy", percent=True, band=interval(scalars))
    for name in ("tasks/diversity", "grad/alignment"):
        if name in scalars:
            with grid.cell():
                look = metric(name)
                _chart(look.title.capitalize(), look.help, {look.title: scalars[name]}, y=look.title)
    losses = inversion_losses(scalars)
    if losses:
        with grid.cell():
            text = "What recovering the images minimises, on a logarithmic axis."
            _chart("Inversion losses", text, {metric(name).title: scalars[name] for name in losses}, y="loss", log=True)
    _further_charts(scalars, further_names(scalars, (*ON_CHARTS, *losses)))
    notes = []
    if max(len(steps) for steps, _ in scalars.values()) > DENSE:
        notes.append("Faint lines show single iterations, strong ones their running mean.")
    warm = run.spec.config.get("warm_start")
    if isinstance(warm, int) and warm > 0:
        notes.append(f"The first {warm} iterations only recover images; the meta-model learns from then on.")
    if notes:
        st.caption(" ".join(notes))


def loss_help(scalars: Scalars) -> str:
    """What the outer loss of a run is.

    A method that works on the teachers' weights (``Method.space``) has no tasks, so no accuracy on them comes with its
    loss. That is read from the run, since asking the registry would load PyTorch only to watch.
    """
    return LOSS_OF_TASKS if "train/accuracy" in scalars else LOSS_OF_WEIGHTS


def inversion_losses(scalars: Scalars) -> list[str]:
    """Names of the curves that share the chart of inversion losses."""
    found = [name for name, (steps, _) in scalars.items() if name.startswith("inversion/") and len(steps) > 1]
    return [name for name in found if name != "inversion/seconds" and not metric(name).percent]


def interval(scalars: Scalars) -> dict[str, list[float]]:
    """The half-widths of the interval of the validation accuracy, by its title, where the run has them."""
    if not {"val/ci95", "val/accuracy"} <= {*scalars}:
        return {}
    halves = dict(zip(*scalars["val/ci95"], strict=False))
    return {metric("val/accuracy").title: [halves.get(step, 0.0) for step in scalars["val/accuracy"][0]]}


def _chart(title: str, about: str, series: dict[str, Curve], *, key: str = "", **look: Any) -> None:  # noqa: ANN401 - as of curves
    def told(value: float) -> str:
        return percent(value) if look.get("percent") else f"{value:.3g}"

    newest = ", ".join(f"{name} {told(values[-1])}" for name, (_, values) in series.items())
    marked = f"; {len(look['marks'])} marks" if look.get("marks") else ""
    figure = curves(series, smooth=True, palette=palette(), **look)
    alt = f"{title} over iterations; newest: {newest}{marked}"
    show_chart(figure, f"**{plain(title)}**", about=about, key=f"chart:{key or title}", alt=alt)


def further_names(scalars: Scalars, drawn: Collection[str]) -> list[str]:
    """The curves, of two points at least, that neither ``drawn`` nor anything else on the page shows."""
    found = [name for name, (steps, _) in scalars.items() if len(steps) > 1 and name not in drawn]
    return [name for name in found if not name.startswith(ELSEWHERE)]


def _further_charts(scalars: Scalars, names: list[str]) -> None:
    if not names:
        return
    st.markdown("**Further numbers**")
    grid = st.grid(3, min_column_width=240, gap="medium")
    for name in names[:MOST_FURTHER]:
        look = metric(name)
        title, series = look.title[:1].upper() + look.title[1:], {look.title: scalars[name]}
        with grid.cell():
            _chart(title, look.help, series, key=name, y=look.title, percent=look.percent, height=200)
    if len(names) > MOST_FURTHER:
        st.caption(f"and {len(names) - MOST_FURTHER} more under Compare")


def newest_weights(scalars: Scalars) -> dict[str, float]:
    """The newest weight of each teacher, the largest first; empty for a run without any."""
    found = {name.removeprefix(POLICY): values[-1] for name, (_, values) in scalars.items() if name.startswith(POLICY)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], natural(item[0]))))


def teacher_policy_panel(run: RunFolder) -> None:
    """Draw the newest weights of a run, where it learns any."""
    weights = newest_weights(plottable(run))
    if not weights:
        return
    (first, high), *_ = weights.items()
    *_, (last, low) = weights.items()
    st.markdown(
        "**Teacher policy**",
        help="How probable it is that a teacher is asked next. A policy gradient raises the weight of teachers that "
        "help on validation classes and lowers that of deceptive ones. The dashed line: all alike.",
    )
    many = len(weights) > MANY_TEACHERS
    with st.container(height=90 + 22 * MANY_TEACHERS if many else "content", border=False):
        ends = f"highest {first} with {percent(high)}, lowest {last} with {percent(low)}"
        chart = teacher_policy_bars(weights, palette=palette())
        show_chart(chart, key="chart:reliability", alt=f"Weights of {len(weights)} teachers; {ends}")
    if many:
        st.caption(f"{len(weights)} teachers, the most reliable first; scroll for the others.")


def compared_teachers(run: RunFolder) -> None:
    """Draw who is like whom, and who shares a group; nothing where the method compared no teachers."""
    found = run.zoo_map()
    if found is None:
        return
    many = f"{len(found.ids)} teachers in {len(set(found.groups))} groups"
    grid = st.grid(2, min_column_width=360, gap="medium")
    with grid.cell():
        show_chart(
            teacher_map(found.ids, found.places, found.groups, about=_classes(run), palette=palette()),
            "**Map of the teachers**",
            about="Near teachers ask for similar changes of a fixed network, the probe. Distances stand for "
            "1 - similarity, as well as a plane can show them; the axes have no meaning of their own.",
            key="chart:teacher-map",
            alt=f"Map of {many}",
        )
    with grid.cell():
        show_chart(
            similarity_matrix(found.ids, found.similarity, found.groups, palette=palette()),
            "**Similarity of the teachers**",
            about="One row and one column per teacher, in the order of their groups; lines divide the groups.",
            key="chart:similarity",
            alt=f"Similarity matrix of {many}",
        )
    st.caption(f"{plain(found.text)}.")


def _classes(run: RunFolder) -> dict[str, str]:
    """What each teacher knows, where its zoo is still there."""
    try:
        listing = open_listing(run.spec.zoo or "")
    except BadInput:
        return {}
    return {row.id: listed(row.class_names, 8) for row in listing.teachers}
