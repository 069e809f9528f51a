"""All numbers of a training as curves; they change in place while it works."""

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

from dfml.core.names import natural
from dfml.runs.folder import RunFolder
from dfml.ui.charts.bars import teacher_policy_bars
from dfml.ui.charts.thinning import DENSE, Curve
from dfml.ui.components.line_chart import Level, Line, Mark, line_chart, smoothed
from dfml.ui.widgets.metrics import LOSS_OF_TASKS, LOSS_OF_WEIGHTS, metric
from dfml.ui.widgets.texts import counted, percent, plain, show_chart

Scalars = Mapping[str, Curve]
ACCURACIES = ("val/accuracy", "train/accuracy", "group/accuracy")
ON_CHARTS = ("train/loss", *ACCURACIES, "val/ci95", "tasks/diversity", "grad/alignment")
POLICY = "reliability/"
ELSEWHERE = (POLICY, "val/", "test/")
"""Drawn as bars, or told with the result."""
MOST_FURTHER, MANY_TEACHERS, FOLLOWED = 12, 14, 3
"""Further numbers that are drawn; more bars than these scroll; teachers at each end that are followed."""


def all_curves(run: RunFolder, scalars: Scalars, *, working: bool) -> None:
    """Draw loss, accuracy with its interval, alignment, teacher policy, and whatever else the method reports."""
    marks = [Mark(note.step, note.text) for note in run.notes() if note.kind == "adversarial"]
    grid = st.grid(2, min_column_width=360, gap="medium")
    if "train/loss" in scalars:
        with grid.cell():
            _chart("Outer loss", loss_help(scalars), {"loss": scalars["train/loss"]}, y="loss", marks=marks)
            if marks:
                steps = counted(len(marks), "adversarial step")
                st.caption(f"◆ {steps}: the images were moved to be harder for the learner.")
    series = {metric(name).title: scalars[name] for name in ACCURACIES if name in scalars}
    if series:
        halves = dict(zip(*scalars.get("val/ci95", ((), ())), strict=False))
        steps, _ = scalars.get("val/accuracy", ((), ()))
        band = {metric("val/accuracy").title: [halves.get(step) for step in steps]} if halves and steps else {}
        with grid.cell():
            text = "Guessing gives 1 / way: 20 % for five classes. The shade is the 95 % interval."
            _chart("Accuracy", text, series, y="accuracy", percent=True, band=band)
    if "grad/alignment" in scalars:
        with grid.cell():
            _number("grad/alignment", scalars["grad/alignment"])
    losses = inversion_losses(scalars)
    if losses:
        with grid.cell():
            text = "What recovering the images minimises, on a logarithmic axis."
            _chart("Inversion losses", text, {metric(name).title: scalars[name] for name in losses}, y="loss", log=True)
    weights = newest_weights(scalars)
    if weights:
        with grid.cell():
            _policy_course(scalars, weights)
    further = further_names(scalars, (*ON_CHARTS, *losses))
    if further:
        st.markdown("**Further numbers**")
        grid = st.grid(3, min_column_width=240, gap="medium")
        for name in further[:MOST_FURTHER]:
            with grid.cell():
                _number(name, scalars[name], height=220)
        if len(further) > MOST_FURTHER:
            st.caption(f"and {len(further) - MOST_FURTHER} more under Compare")
    if not working:  # bars are made anew at each change, so they wait for the end
        _teacher_policy(weights)
    if max(len(steps) for steps, _ in scalars.values()) > DENSE:
        st.caption("Faint lines show single iterations, strong ones their running mean.")
    warm = run.spec.config.get("warm_start")
    if isinstance(warm, int) and warm > 0:
        st.caption(f"The first {warm} iterations only recover images; the meta-model learns from then on.")


def _number(name: str, curve: Curve, **look: Any) -> None:  # noqa: ANN401 - as of line_chart
    title, text, fraction = metric(name)
    _chart(title[:1].upper() + title[1:], text, {title: curve}, key=name, y=title, percent=fraction, **look)


def loss_help(scalars: Scalars) -> str:
    """Say what the outer loss is; a method without tasks (see ``Method.space``) reports no accuracy on them."""
    return LOSS_OF_TASKS if "train/accuracy" in scalars else LOSS_OF_WEIGHTS


def inversion_losses(scalars: Scalars) -> list[str]:
    """Return the names of the curves that share the chart of inversion losses."""
    found = [name for name, (steps, _) in scalars.items() if name.startswith("inversion/") and len(steps) > 1]
    return [name for name in found if name != "inversion/seconds" and not metric(name).percent]


def further_names(scalars: Scalars, drawn: Collection[str]) -> list[str]:
    """Return the curves, of two points at least, that neither ``drawn`` nor anything else on the page shows."""
    found = [name for name, (steps, _) in scalars.items() if len(steps) > 1 and name not in drawn]
    return [name for name in found if not name.startswith(ELSEWHERE)]


def _chart(
    title: str,
    about: str,
    series: dict[str, Curve],
    *,
    key: str = "",
    band: Mapping[str, list[float | None]] | None = None,
    marks: Collection[Mark] = (),
    **look: Any,  # noqa: ANN401 - as of line_chart
) -> None:
    def told(value: float) -> str:
        return percent(value) if look.get("percent") else f"{value:.3g}"

    newest = ", ".join(f"{name} {told(values[-1])}" for name, (_, values) in series.items())
    marked = f"; {counted(len(marks), 'mark')}" if marks else ""
    alt = f"{title} over iterations; newest: {newest}{marked}"
    halves = band or {}
    lines = [
        line._replace(band=halves[name]) if name in halves and not line.faint and len(steps) <= DENSE else line
        for name, (steps, values) in series.items()
        for line in smoothed(name, steps, values)
    ]
    st.markdown(f"**{plain(title)}**", help=about or None)
    line_chart(lines, key=f"chart:{key or title}", alt=alt, marks=list(marks), **look)


def newest_weights(scalars: Scalars) -> dict[str, float]:
    """Return the newest weight of each teacher, the largest first; empty for a run without any."""
    found = {name.removeprefix(POLICY): values[-1] for name, (_, values) in scalars.items() if name.startswith(POLICY)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], natural(item[0]))))


POLICY_HELP = (
    "How probable it is that a teacher is asked next. A policy gradient raises the weight of teachers that help on "
    "validation classes and lowers that of deceptive ones. The dashed line: all alike."
)


def _policy_course(scalars: Scalars, weights: Mapping[str, float]) -> None:
    """Draw the weights of the teachers that are asked most and least now, over the run."""
    names = list(weights)
    ends = names if len(names) <= 2 * FOLLOWED else [*names[:FOLLOWED], *names[-FOLLOWED:]]
    lines = [Line(f"teacher {name}", *scalars[POLICY + name]) for name in ends]
    levels = [Level(f"all alike {percent(1 / len(names))}", 1 / len(names))]
    st.markdown("**Weights of the teachers asked most and least**", help=POLICY_HELP)
    alt = f"Weights over the run of teachers {', '.join(ends)}"
    line_chart(lines, key="chart:policy", y="weight", percent=True, alt=alt, levels=levels)


def _teacher_policy(weights: Mapping[str, float]) -> None:
    """Draw the newest weights, where the run learns any."""
    if not weights:
        return
    (first, high), *_ = weights.items()
    *_, (last, low) = weights.items()
    st.markdown("**Teacher policy**", help=POLICY_HELP)
    many = len(weights) > MANY_TEACHERS
    with st.container(height=90 + 22 * MANY_TEACHERS if many else "content", border=False):
        ends = f"highest {first} with {percent(high)}, lowest {last} with {percent(low)}"
        alt = f"Weights of {len(weights)} teachers; {ends}"
        show_chart(teacher_policy_bars(weights), key="chart:teacher_policy", alt=alt)
    if many:
        st.caption(f"{len(weights)} teachers, the highest weight first; scroll for the others.")
