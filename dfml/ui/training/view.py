"""A meta-training run on the page: curves that grow, marks of adversarial steps, newest pictures, the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from dfml.runs.folder import RunFolder
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.curve_math import DENSE
from dfml.ui.charts.curves import Curve, Mark, curves
from dfml.ui.runs.image_grids import newest_pictures
from dfml.ui.runs.panel import look_again, moved_on, run_controls, run_header
from dfml.ui.runs.run_rows import RunRow, open_run, plottable
from dfml.ui.training.further_numbers import Scalars, further_charts
from dfml.ui.training.similarity import compared_teachers
from dfml.ui.training.teacher_policy import teacher_policy_panel
from dfml.ui.widgets.messages import empty_state, one_line_errors
from dfml.ui.widgets.metrics import LOSS_OF_TASKS, LOSS_OF_WEIGHTS, metric, percent
from dfml.ui.widgets.navigation import ADAPTATION
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import palette

ACCURACIES = ("val/accuracy", "train/accuracy", "group/accuracy")
ON_CHARTS = ("train/loss", *ACCURACIES, "val/ci95", "tasks/diversity", "grad/alignment")


def no_training_yet() -> None:
    """What will be here, and how to get it."""
    empty_state(
        "No training run yet",
        "Choose a method on this page and press Start training. The demo preset takes minutes on two CPU cores; "
        "“random” and “average” take seconds and are the floor to compare with.",
        icon=":material/model_training:",
    )


def watch_training(row: RunRow) -> None:
    """Show the run; its numbers move each second until it ends."""
    if row.spec is None:
        st.warning(plain(row.message), icon=":material/broken_image:")
        return

    @st.fragment(run_every=look_again(row))
    def live() -> None:
        with one_line_errors():
            run = open_run(row)
            status = run.status()
            if moved_on(row.state, status.state):
                # It ended, or another tab resumed it: one full run of the page sets the timer anew. Before anything
                # is drawn, since a click on a link that is redrawn at once would be lost.
                st.rerun()
            run_header(run, status)
            run_controls(run, status, key="training")
            if status.state == "finished":
                result_panel(run)
            left_out(run)
            training_charts(run)
            teacher_policy_panel(run)
            compared_teachers(run)
            newest_pictures(run)

    live()


def left_out(run: RunFolder) -> None:
    """Which teachers do not take part, and why; nothing where all do."""
    told = [text for _, kind, text in run.notes() if kind == "left-out"]
    if told:
        st.info(plain(told[-1]) + ".", icon=":material/group_off:")


def result_panel(run: RunFolder) -> None:
    """The finished model in numbers, and the way to try it."""
    result = run.result() or {}
    half = result.get("ci95")
    grid = st.grid(3, min_column_width=190)
    test = result.get("test_accuracy")
    grid.metric(
        "Accuracy on new classes",
        percent(test),
        delta=f"± {100 * half:.1f} (95 % interval)" if test is not None and half is not None else None,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=tested_how(result),
    )
    grid.metric(
        "Validation accuracy",
        percent(result.get("val_accuracy")),
        border=True,
        height="stretch",
        help=f"{metric('val/accuracy').help} Other classes and fewer episodes than beside, so the two may differ.",
    )
    with grid.cell():
        st.page_link(
            ADAPTATION,
            label="Try it on pictures",
            icon=":material/bolt:",
            query_params={"model": run.path.name},
            help="Adapt this meta-model to a few pictures",
        )
    way = run.spec.config.get("way")
    if test is not None and isinstance(way, int) and way > 0:
        text = f"Tasks of {way} classes; guessing gives {percent(1 / way)}."
        if result.get("val_accuracy") is not None:
            text += (
                " The two accuracies are of different classes and numbers of tasks: one may lie well above the other."
            )
        st.caption(text)
    course = over_the_run(plottable(run))
    if course:
        st.caption(
            f"Validation classes over the run: peak {percent(course['peak'])}, last {percent(course['last'])}, "
            f"variation {100 * course['variation']:.1f} points.",
            help=" ".join(
                f"**{metric(f'val/{name}').title.capitalize()}**: {metric(f'val/{name}').help}" for name in course
            ),
        )


def over_the_run(scalars: Scalars) -> dict[str, float]:
    """Peak, last and variation of the accuracy on validation classes, fractions in [0, 1].

    Returns:
        What the method reported, else the same of the curve; empty where fewer than two validations were made.
    """
    told = {name: scalars[f"val/{name}"][1][-1] for name in ("peak", "last", "variation") if f"val/{name}" in scalars}
    _, values = scalars.get("val/accuracy", ((), ()))
    if len(told) == 3:
        return told
    if len(values) < 2:
        return {}
    return {"peak": max(values), "last": values[-1], "variation": max(values) - values[-1]}


def tested_how(result: Mapping[str, object]) -> str:
    """How the accuracy on new classes was measured, in two or three sentences."""
    sample = "" if not str(result.get("test_data", "sample:")).startswith("sample:") else " a small embedded sample of"
    parts = [f"On real pictures from{sample} classes that no teacher has seen; guessing gives 1 / way, 20 % for five."]
    if result.get("episodes") and result.get("shots"):
        parts.append(plain(f"{result['episodes']} episodes, {result['shots']} support pictures a class."))
    if result.get("bn") == "transductive":
        parts.append("Transductive: the query pictures of an episode are normalised together.")
    return " ".join(parts)


def marks_of(run: RunFolder) -> list[Mark]:
    """The adversarial steps of a run."""
    return [Mark(step, text) for step, kind, text in run.notes() if kind == "adversarial"]


def training_charts(run: RunFolder) -> None:
    """Loss, accuracy with its interval, diversity, and whatever else the method reports."""
    scalars = plottable(run)
    if not scalars:
        if run.status().active:
            st.skeleton(220)
            st.caption("The curves start with the first numbers.")
        return
    colours, marks = palette(), marks_of(run)
    grid = st.grid(2, min_column_width=360, gap="medium")
    if "train/loss" in scalars:
        with grid.cell():
            _chart("Outer loss", loss_help(scalars), {"loss": scalars["train/loss"]}, "loss", marks)
            if marks:
                steps = "1 adversarial step" if len(marks) == 1 else f"{len(marks)} adversarial steps"
                st.caption(f"◆ {steps}: the pictures were moved to be harder for the learner.")
    series, band = accuracy_series(scalars)
    if series:
        with grid.cell():
            st.markdown(
                "**Accuracy**", help="Guessing gives 1 / way: 20 % for five classes. The shade is the 95 % interval."
            )
            show_chart(
                curves(series, y="accuracy", percent=True, band=band, smooth=True, palette=colours),
                key="chart:accuracy",
                alt="Accuracy over iterations; newest: "
                + ", ".join(f"{name} {percent(curve[1][-1])}" for name, curve in series.items()),
            )
    for name in ("tasks/diversity", "grad/alignment"):
        if name in scalars:
            with grid.cell():
                _chart(
                    metric(name).title.capitalize(),
                    metric(name).help,
                    {metric(name).title: scalars[name]},
                    metric(name).title,
                )
    losses = inversion_losses(scalars)
    if losses:
        with grid.cell():
            _chart(
                "Inversion losses",
                "What recovering the pictures minimises, on a logarithmic axis.",
                {metric(name).title: scalars[name] for name in losses},
                "loss",
                log=True,
            )
    further_charts(scalars, (*ON_CHARTS, *losses))
    notes = []
    if max(len(steps) for steps, _ in scalars.values()) > DENSE:
        notes.append("Faint lines show single iterations, strong ones their running mean.")
    warm = run.spec.config.get("warm_start")
    if isinstance(warm, int) and warm > 0:
        notes.append(f"The first {warm} iterations only recover pictures; the meta-model learns from then on.")
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
    return [
        name
        for name, (steps, _) in scalars.items()
        if name.startswith("inversion/") and name != "inversion/seconds" and not metric(name).percent and len(steps) > 1
    ]


def accuracy_series(scalars: Scalars) -> tuple[dict[str, Curve], dict[str, list[float]]]:
    """The accuracy curves by their titles, and the half-widths of their intervals."""
    series: dict[str, Curve] = {}
    band: dict[str, list[float]] = {}
    for name in ACCURACIES:
        if name in scalars:
            series[metric(name).title] = scalars[name]
    if "val/ci95" in scalars and "val/accuracy" in scalars:
        halves = dict(zip(*scalars["val/ci95"], strict=False))
        band[metric("val/accuracy").title] = [halves.get(step, 0.0) for step in scalars["val/accuracy"][0]]
    return series, band


def _chart(
    title: str, help_text: str, series: dict[str, Curve], y: str, marks: Sequence[Mark] = (), *, log: bool = False
) -> None:
    st.markdown(f"**{title}**", help=help_text or None)
    newest = ", ".join(f"{name} {curve[1][-1]:.3g}" for name, curve in series.items() if len(curve[1]))
    show_chart(
        curves(series, y=y, marks=marks, log=log, smooth=True, palette=palette()),
        key=f"chart:{title}",
        alt=f"{title} over iterations; newest: {newest}" + (f"; {len(marks)} marks" if marks else ""),
    )
