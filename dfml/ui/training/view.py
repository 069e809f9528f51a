"""A meta-training run on the page: curves that grow, its teachers and how far it relies on each, images, the result."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.names import natural
from dfml.runs.folder import RunFolder
from dfml.ui.charts.bars import similarity_matrix, teacher_map, teacher_policy_bars
from dfml.ui.charts.curves import DENSE, Curve, curves
from dfml.ui.runs.panel import Watched, watch_runs
from dfml.ui.runs.run_rows import RunRow, finite
from dfml.ui.widgets.galleries import newest_pictures
from dfml.ui.widgets.metrics import LOSS_OF_TASKS, LOSS_OF_WEIGHTS, metric
from dfml.ui.widgets.navigation import ADAPTATION
from dfml.ui.widgets.texts import counted, listed, percent, plain, show_chart
from dfml.ui.zoo.choose_zoo import open_listing

Scalars = Mapping[str, Curve]
ACCURACIES = ("val/accuracy", "train/accuracy", "group/accuracy")
ON_CHARTS = ("train/loss", *ACCURACIES, "val/ci95", "tasks/diversity", "grad/alignment")
POLICY = "reliability/"
ELSEWHERE = (POLICY, "val/", "test/")
"""Drawn as bars, or told with the result."""
MOST_FURTHER, MANY_TEACHERS = 12, 14
"""Further numbers that are drawn; more bars than these scroll."""


def watch_training(rows: list[RunRow]) -> None:
    """Show the run; its numbers move each second until it ends."""
    text = (
        "Choose a method on this page and press Start training. The demo preset takes minutes on two CPU cores; "
        "“random” and “average” take seconds and are the floor to compare with."
    )
    watch_runs(rows, "training", _numbers, title="No training run yet", text=text, icon=":material/model_training:")


def _numbers(watched: list[Watched], _key: str) -> None:
    ((_, run, status),) = watched
    scalars = finite(run.scalars())
    if status.state == "finished":
        _result_panel(run, scalars)
    left_out = [note.text for note in run.notes() if note.kind == "left-out"]
    if left_out:
        st.info(plain(left_out[-1]) + ".", icon=":material/group_off:")
    if scalars:
        _charts(run, scalars)
        _teacher_policy(newest_weights(scalars))
    elif status.active:
        st.skeleton(220)
        st.caption("The curves start with the first numbers.")
    _compared_teachers(run)
    newest_pictures(run)


def _result_panel(run: RunFolder, scalars: Scalars) -> None:
    """Draw the finished model in numbers, and the way to try it."""
    result = run.result() or {}
    test, half, validated = (result.get(key) for key in ("test_accuracy", "ci95", "val_accuracy"))
    grid = st.grid(3, min_column_width=190)
    look: dict[str, Any] = {"border": True, "height": "stretch", "delta_color": "off", "delta_arrow": "off"}
    delta = f"± {100 * half:.1f} (95 % interval)" if test is not None and half is not None else None
    grid.metric("Accuracy on new classes", percent(test), delta=delta, help=_tested_how(result), **look)
    grid.metric("Validation accuracy", percent(validated), help=metric("val/accuracy").help, **look)
    with grid.cell():
        link, text = {"model": run.name}, "Adapt this meta-model to a few images"
        st.page_link(ADAPTATION.file, label="Try it on images", icon=ADAPTATION.icon, query_params=link, help=text)
    way = run.spec.config.get("way")
    if test is not None and isinstance(way, int) and way > 0:
        both = " The two accuracies are of different classes and numbers of tasks: one may lie well above the other."
        st.caption(f"Tasks of {way} classes; guessing gives {percent(1 / way)}." + both * (validated is not None))
    course = over_the_run(scalars)
    if course:
        looks = [metric(f"val/{name}") for name in course]
        st.caption(
            f"Validation classes over the run: peak {percent(course['peak'])}, last {percent(course['last'])}, "
            f"variation {100 * course['variation']:.1f} points.",
            help=" ".join(f"**{look.title.capitalize()}**: {look.help}" for look in looks),
        )


def over_the_run(scalars: Scalars) -> dict[str, float]:
    """Return peak, last and variation of the validation accuracy: as reported, else the curve's if of two points."""
    told = {name: scalars[f"val/{name}"][1][-1] for name in ("peak", "last", "variation") if f"val/{name}" in scalars}
    _, values = scalars.get("val/accuracy", ((), ()))
    if len(told) == 3:
        return told
    if len(values) < 2:
        return {}
    return {"peak": max(values), "last": values[-1], "variation": max(values) - values[-1]}


def _tested_how(result: Mapping[str, object]) -> str:
    """How the accuracy on new classes was measured, in two or three sentences."""
    sample = "" if not str(result.get("test_data", "sample:")).startswith("sample:") else " a small embedded sample of"
    parts = [f"On real images from{sample} classes that no teacher has seen; guessing gives 1 / way, 20 % for five."]
    if result.get("episodes") and result.get("shots"):
        parts.append(plain(f"{result['episodes']} episodes, {result['shots']} support images per class."))
    if result.get("bn") == "transductive":
        parts.append("Transductive: the query images of an episode are normalised together.")
    return " ".join(parts)


def _charts(run: RunFolder, scalars: Scalars) -> None:
    """Draw loss, accuracy with its interval, diversity, and whatever else the method reports."""
    marks = [note for note in run.notes() if note.kind == "adversarial"]
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
        band = {metric("val/accuracy").title: [halves.get(step, 0.0) for step in steps]} if halves and steps else {}
        with grid.cell():
            text = "Guessing gives 1 / way: 20 % for five classes. The shade is the 95 % interval."
            _chart("Accuracy", text, series, key="accuracy", y="accuracy", percent=True, band=band)
    for name in ("tasks/diversity", "grad/alignment"):
        if name in scalars:
            with grid.cell():
                _number(name, scalars[name])
    losses = inversion_losses(scalars)
    if losses:
        with grid.cell():
            text = "What recovering the images minimises, on a logarithmic axis."
            _chart("Inversion losses", text, {metric(name).title: scalars[name] for name in losses}, y="loss", log=True)
    further = further_names(scalars, (*ON_CHARTS, *losses))
    if further:
        st.markdown("**Further numbers**")
        grid = st.grid(3, min_column_width=240, gap="medium")
        for name in further[:MOST_FURTHER]:
            with grid.cell():
                _number(name, scalars[name], height=200)
        if len(further) > MOST_FURTHER:
            st.caption(f"and {len(further) - MOST_FURTHER} more under Compare")
    if max(len(steps) for steps, _ in scalars.values()) > DENSE:
        st.caption("Faint lines show single iterations, strong ones their running mean.")
    warm = run.spec.config.get("warm_start")
    if isinstance(warm, int) and warm > 0:
        st.caption(f"The first {warm} iterations only recover images; the meta-model learns from then on.")


def _number(name: str, curve: Curve, **look: Any) -> None:  # noqa: ANN401 - as of curves
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


def _chart(title: str, about: str, series: dict[str, Curve], *, key: str = "", **look: Any) -> None:  # noqa: ANN401 - as of curves
    def told(value: float) -> str:
        return percent(value) if look.get("percent") else f"{value:.3g}"

    newest = ", ".join(f"{name} {told(values[-1])}" for name, (_, values) in series.items())
    marked = f"; {len(look['marks'])} marks" if look.get("marks") else ""
    alt = f"{title} over iterations; newest: {newest}{marked}"
    chart = curves(series, smooth=True, **look)
    show_chart(chart, f"**{plain(title)}**", about=about, key=f"chart:{key or title}", alt=alt)


def newest_weights(scalars: Scalars) -> dict[str, float]:
    """Return the newest weight of each teacher, the largest first; empty for a run without any."""
    found = {name.removeprefix(POLICY): values[-1] for name, (_, values) in scalars.items() if name.startswith(POLICY)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], natural(item[0]))))


def _teacher_policy(weights: Mapping[str, float]) -> None:
    """Draw the newest weights, where the run learns any."""
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
        alt = f"Weights of {len(weights)} teachers; {ends}"
        show_chart(teacher_policy_bars(weights), key="chart:teacher_policy", alt=alt)
    if many:
        st.caption(f"{len(weights)} teachers, the highest weight first; scroll for the others.")


def _compared_teachers(run: RunFolder) -> None:
    """Draw who is like whom, and who shares a group; nothing where the method compared no teachers."""
    found = run.zoo_map()
    if found is None:
        return
    known: dict[str, str] = {}
    with suppress(BadInput):  # a zoo that has gone only costs what its teachers know
        known = {row.id: listed(row.class_names, 8) for row in open_listing(run.spec.zoo or "").teachers}
    many = f"{len(found.ids)} teachers in {len(set(found.groups))} groups"
    grid = st.grid(2, min_column_width=360, gap="medium")
    with grid.cell():
        show_chart(
            teacher_map(found.ids, found.places, found.groups, known),
            "**Map of the teachers**",
            about="Near teachers ask for similar changes of a fixed network, the probe. Distances stand for "
            "1 - similarity, as well as a plane can show them; the axes have no meaning of their own.",
            key="chart:teacher-map",
            alt=f"Map of {many}",
        )
    with grid.cell():
        show_chart(
            similarity_matrix(found.ids, found.similarity, found.groups),
            "**Similarity of the teachers**",
            about="One row and one column per teacher, in the order of their groups; lines divide the groups.",
            key="chart:similarity",
            alt=f"Similarity matrix of {many}",
        )
    st.caption(f"{plain(found.text)}.")
