"""A meta-training run on the page: curves that grow, marks of adversarial steps, newest images, the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dfml.runs.folder import RunFolder
from dfml.ui.runs.image_grids import newest_pictures
from dfml.ui.runs.panel import look_again, moved_on, run_controls, run_header
from dfml.ui.runs.run_rows import RunRow, plottable
from dfml.ui.training.charts import Scalars, compared_teachers, teacher_policy_panel, training_charts
from dfml.ui.widgets.messages import empty_state, one_line_errors
from dfml.ui.widgets.metrics import metric, percent
from dfml.ui.widgets.navigation import ADAPTATION
from dfml.ui.widgets.texts import plain


def watch_training(row: RunRow | None) -> None:
    """Show the run; its numbers move each second until it ends."""
    if row is None:
        empty_state(
            "No training run yet",
            "Choose a method on this page and press Start training. The demo preset takes minutes on two CPU cores; "
            "“random” and “average” take seconds and are the floor to compare with.",
            icon=":material/model_training:",
        )
        return
    if row.spec is None:
        st.warning(plain(row.message), icon=":material/broken_image:")
        return

    @st.fragment(run_every=look_again(row))
    def live() -> None:
        with one_line_errors():
            run = row.run
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
    told = [note.text for note in run.notes() if note.kind == "left-out"]
    if told:
        st.info(plain(told[-1]) + ".", icon=":material/group_off:")


def result_panel(run: RunFolder) -> None:
    """Draw the finished model in numbers, and the way to try it."""
    result = run.result() or {}
    test, half, validated = (result.get(key) for key in ("test_accuracy", "ci95", "val_accuracy"))
    grid = st.grid(3, min_column_width=190)
    look: dict[str, Any] = {"border": True, "height": "stretch"}
    delta = f"± {100 * half:.1f} (95 % interval)" if test is not None and half is not None else None
    label, plain_delta = "Accuracy on new classes", {"delta_color": "off", "delta_arrow": "off"}
    grid.metric(label, percent(test), delta=delta, **plain_delta, help=tested_how(result), **look)
    grid.metric("Validation accuracy", percent(validated), help=metric("val/accuracy").help, **look)
    with grid.cell():
        st.page_link(
            ADAPTATION,
            label="Try it on images",
            icon=":material/bolt:",
            query_params={"model": run.name},
            help="Adapt this meta-model to a few images",
        )
    way = run.spec.config.get("way")
    if test is not None and isinstance(way, int) and way > 0:
        both = " The two accuracies are of different classes and numbers of tasks: one may lie well above the other."
        st.caption(f"Tasks of {way} classes; guessing gives {percent(1 / way)}." + both * (validated is not None))
    course = over_the_run(plottable(run))
    if course:
        looks = [metric(f"val/{name}") for name in course]
        st.caption(
            f"Validation classes over the run: peak {percent(course['peak'])}, last {percent(course['last'])}, "
            f"variation {100 * course['variation']:.1f} points.",
            help=" ".join(f"**{look.title.capitalize()}**: {look.help}" for look in looks),
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
    parts = [f"On real images from{sample} classes that no teacher has seen; guessing gives 1 / way, 20 % for five."]
    if result.get("episodes") and result.get("shots"):
        parts.append(plain(f"{result['episodes']} episodes, {result['shots']} support images per class."))
    if result.get("bn") == "transductive":
        parts.append("Transductive: the query images of an episode are normalised together.")
    return " ".join(parts)
