"""A meta-training run on the page: its story while it works and played again at the end, the result, all curves."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.runs.folder import RunFolder
from dfml.ui.charts.bars import similarity_matrix, teacher_map
from dfml.ui.charts.thinning import Curve
from dfml.ui.runs.panel import Watched, watch_runs
from dfml.ui.runs.run_rows import RunRow, finite
from dfml.ui.runs.shared import YOUNG, shared, version_of
from dfml.ui.training.all_curves import all_curves
from dfml.ui.training.floors import sentence, verdict
from dfml.ui.training.replayed import show_replay
from dfml.ui.training.story import live_story
from dfml.ui.widgets.galleries import newest_pictures
from dfml.ui.widgets.metrics import metric
from dfml.ui.widgets.navigation import ADAPTATION
from dfml.ui.widgets.texts import listed, percent, plain, show_chart
from dfml.ui.zoo.choose_zoo import open_listing

Scalars = Mapping[str, Curve]


def watch_training(rows: list[RunRow]) -> None:
    """Show the run; its numbers move each second until it ends."""
    text = (
        "Choose a method on this page and press Start training. The demo preset takes minutes on two CPU cores; "
        "“random” and “average” take seconds, to compare with."
    )
    watch_runs(rows, "training", _numbers, title="No training run yet", text=text, icon=":material/model_training:")


def _numbers(watched: list[Watched], _key: str) -> None:
    ((_, run, status),) = watched
    version, finished = version_of(run), status.state == "finished"
    scalars, left_out = shared("numbers", run.path, version, lambda _: _read(run), YOUNG * status.active)
    if finished:
        found = verdict(run)
        if found:
            st.markdown(sentence(found))
        if run.model:
            _try_it(run)
    if left_out:
        st.info(plain(left_out) + ".", icon=":material/group_off:")
    if finished and scalars:
        show_replay(run)
        _result_panel(run, scalars)
    elif finished:
        _result_panel(run, scalars)
    else:
        live_story(run, status, scalars, version)
    box = st.expander("All curves", key=f"all_curves:{run.name}", on_change="rerun")
    if box.open:
        with box:
            if scalars:
                all_curves(run, scalars, working=status.active)
            else:
                st.caption("The curves start with the first numbers.")
            _compared_teachers(run)
            if finished:
                newest_pictures(run)


def _read(run: RunFolder) -> tuple[dict[str, Curve], str]:
    """Return the curves, and the newest note on who was left out."""
    return finite(run.scalars()), next((n.text for n in reversed(run.notes()) if n.kind == "left-out"), "")


def _try_it(run: RunFolder) -> None:
    link, text = {"model": run.name}, "Adapt this meta-model to a few images"
    st.page_link(ADAPTATION.file, label="Try it on images", icon=ADAPTATION.icon, query_params=link, help=text)


def _result_panel(run: RunFolder, scalars: Scalars) -> None:
    """Draw the finished model in numbers."""
    result = run.result() or {}
    test, half, validated = (result.get(key) for key in ("test_accuracy", "ci95", "val_accuracy"))
    grid = st.grid(2, min_column_width=190)
    look: dict[str, Any] = {"border": True, "height": "stretch", "delta_color": "off", "delta_arrow": "off"}
    delta = f"± {100 * half:.1f} (95 % interval)" if test is not None and half is not None else None
    grid.metric("Accuracy on new classes", percent(test), delta=delta, help=_tested_how(result), **look)
    grid.metric("Validation accuracy", percent(validated), help=metric("val/accuracy").help, **look)
    way = run.spec.config.get("way")
    if test is not None and isinstance(way, int) and way > 0:
        both = " The two accuracies are of different classes and numbers of tasks: one may lie well above the other."
        st.caption(f"Tasks of {way} classes; guessing gives {percent(1 / way)}." + both * (validated is not None))
    course = over_the_run(scalars)
    if course:
        st.caption(
            f"Validation classes: {percent(course['peak'])} at the best moment of the run, {percent(course['last'])} "
            f"at its end, {round(100 * course['peak'], 1) - round(100 * course['last'], 1):.1f} points less.",
            help="What the end lies below the best was forgotten on the way.",
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
