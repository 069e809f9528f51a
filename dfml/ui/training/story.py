"""A training told as a story: its phases, one large chart, the newest tasks, their diversity and their map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image

from dfml.core.events import TASK
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.status import RunStatus
from dfml.ui.charts.thinning import Curve
from dfml.ui.components.line_chart import Level, Line, line_chart
from dfml.ui.components.replay import Chart
from dfml.ui.components.sprites import Packed, packed
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.training.floors import FLOOR, adapts_by, floor_of, way_of
from dfml.ui.training.phases import Phase, length, phases, recovers
from dfml.ui.training.task_map import show_task_map
from dfml.ui.widgets.galleries import open_sheet
from dfml.ui.widgets.metrics import metric
from dfml.ui.widgets.texts import percent, plain

Scalars = Mapping[str, Curve]
HERO, SECOND = 380, 300
"""Pixels of the height of the large chart, and of the smaller parts."""
SIGNS = {"waiting": "○", "now": "◐", "done": "●", "stopped": "◌", "none": "–"}
VALIDATION, NEW = "validation classes", "new classes"
MOST_SHOWN, TASK_SIDE = 25, 64
DIVERSITY = "tasks/diversity"


def phase_bar(found: Sequence[Phase]) -> None:
    """Draw the phases side by side, each with a sign, its words and how far it is."""
    grid = st.grid(len(found), min_column_width=150, gap="small")
    for phase in found:
        with grid.cell():
            strong = f"**{phase.name}**" if phase.state == "now" else phase.name
            st.progress(phase.share, text=f"{SIGNS[phase.state]} {strong} · {plain(phase.text)}")


def hero(run: RunFolder, scalars: Scalars) -> Chart:
    """Return the large chart: accuracy on validation and on new classes, with intervals, above its floors."""
    config, result = run.spec.config, run.result()
    lines = [line for line in (_validation(scalars), _tested(scalars)) if line]
    way = way_of(config, result)
    levels = [Level(f"guessing {percent(1 / way)}", 1 / way)]
    asked: dict[str, Any] = dict(result) if result and result.get("test_accuracy") is not None else {}
    asked = asked or {"shots": 5, "adapt": adapts_by(config), "bn": "transductive"}
    # Of data of the run's own nobody knows, before its test, what they are called there.
    floor = floor_of(run, asked) if "test_data" in asked or not run.spec.data else None
    if floor:
        value = float(floor.row["accuracy"])
        levels.insert(0, Level(f"{FLOOR} on {NEW} {percent(value)}", value))
    return Chart("Accuracy", lines, percent=True, levels=levels, y="accuracy")


def hero_help(chart: Chart) -> str:
    """Say what the lines of the large chart are of, and which of them compare."""
    text = f"Shade and whisker are 95 % intervals. {metric('val/accuracy').help}"
    if len(chart.levels) > 1:
        text += (
            f" The line of `{FLOOR}`, which learns nothing, was measured on the {NEW} of the test: only the point at "
            "the end compares with it, since the two kinds of classes are not equally hard."
        )
    return text


def floor_caption(chart: Chart) -> str:
    """Say that the line of ``random`` and the curve are of different classes, where both are drawn; else nothing."""
    if len(chart.levels) < 2 or not any(line.name == VALIDATION for line in chart.lines):
        return ""
    return (
        f"The line of {FLOOR} is of the {NEW} of the test; the curve is of {VALIDATION}, which may be harder or easier."
    )


def _validation(scalars: Scalars) -> Line | None:
    steps, values = scalars.get("val/accuracy", ((), ()))
    if not len(steps):
        return None
    halves = dict(zip(*scalars.get("val/ci95", ((), ())), strict=False))
    return Line(VALIDATION, steps, values, band=[halves.get(step) for step in steps])


def _tested(scalars: Scalars) -> Line | None:
    steps, values = scalars.get("test/accuracy", ((), ()))
    if not len(steps):
        return None
    halves = dict(zip(*scalars.get("test/ci95", ((), ())), strict=False))
    return Line(NEW, steps[-1:], values[-1:], band=[halves.get(steps[-1])])


def live_story(run: RunFolder, status: RunStatus, scalars: Scalars) -> None:
    """Draw the story of a run that works, waits, or ended early; every part has its place from the first moment."""
    phase_bar(phases(status, run.spec.config, scalars, run.result()))
    pictures = recovers(run.spec.config, scalars)
    embedded = bool(run.tasks()) or pictures
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_hero(run, scalars, until=length(run.spec.config, status, scalars) or None)
    with right:
        if pictures:
            newest_tasks(run)
        elif embedded:
            show_task_map(run, height=HERO)
        elif DIVERSITY in scalars:
            diversity(scalars)
    if not embedded or not (pictures or DIVERSITY in scalars):
        return
    left, right = st.columns(2, gap="medium")
    with left:
        diversity(scalars)
    if pictures:
        with right:
            show_task_map(run, height=SECOND)


def show_hero(run: RunFolder, scalars: Scalars, *, until: float | None = None) -> None:
    """Draw the large chart."""
    chart = hero(run, scalars)
    st.markdown("**Accuracy**", help=hero_help(chart))
    newest = ", ".join(f"on {line.name} {percent(line.values[-1])}" for line in chart.lines) or "no number yet"
    look = {"percent": True, "levels": chart.levels, "until": until, "height": HERO}
    line_chart(chart.lines, key=f"hero:{run.name}", y="accuracy", alt=f"Accuracy over iterations; {newest}", **look)
    told = floor_caption(chart)
    if told:
        st.caption(told)


def diversity(scalars: Scalars) -> None:
    """Draw how unlike the newest tasks are."""
    title, about, _ = metric(DIVERSITY)
    st.markdown(f"**{title.capitalize()}**", help=about)
    steps, values = scalars.get(DIVERSITY, ((), ()))
    newest = f"newest {values[-1]:.3g}" if len(values) else "no number yet"
    lines = [Line(title, steps, values)]
    line_chart(lines, key="diversity", y="cosine distance", alt=f"{title} over iterations; {newest}", height=SECOND)


def newest_tasks(run: RunFolder) -> None:
    """Draw the images of the newest pseudo tasks, the newest first."""
    kept = run.images()
    step, pictures = _newest(str(run.path), kept[-1].path.name if kept else "")
    count = pictures.sheet.count
    text = "What the meta-model learns from at this moment: no real image is among them."
    st.markdown("**Newest pseudo tasks**" + (f" · iteration {step}" if count else ""), help=text)
    alt = f"{count} recovered images of iteration {step}" if count else "No image is recovered yet"
    tile_grid(pictures, key="newest", alt=alt, pick=False, side=TASK_SIDE, columns=5, height=HERO)
    if not count:
        st.caption("The first ones come in a moment.")


@st.cache_resource(show_spinner=False, max_entries=16)
def _newest(path: str, newest: str) -> tuple[int, Packed]:
    """Pack them once for all who watch the run, by the file of its newest grid: their number stays, at some time."""
    step, pictures = newest_images(RunFolder(Path(path)).images())
    return step, packed(pictures, TASK_SIDE)


def newest_images(kept: Sequence[StoredImages], until: float | None = None) -> tuple[int, list[Image.Image]]:
    """Return the newest step with images, up to ``until``, and at most 25 images: of tasks, the newest first.

    Where no task has images, it is the newest grid of another kind. Nothing kept gives (0, []).
    """
    entries = [entry for entry in kept if until is None or entry.step <= until]
    tasks = [entry for entry in entries if entry.tag == TASK]
    found: list[Image.Image] = []
    newest = 0
    for entry in reversed(tasks or entries[-1:]):
        images = open_sheet(entry)
        if images and found and len(found) + len(images) > MOST_SHOWN:
            break
        newest = newest or (entry.step if images else 0)
        found += images
    return newest, found[:MOST_SHOWN]
