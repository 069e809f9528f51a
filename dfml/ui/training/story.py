"""A training told as a story: its phases, one large chart, the newest tasks, their diversity and their map."""

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st
from PIL import Image

from dfml.core.events import TASK
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.status import RunStatus
from dfml.ui.charts.thinning import Curve
from dfml.ui.components.line_chart import Level, Line, prepared_chart
from dfml.ui.components.mounting import Prepared
from dfml.ui.components.replay import Chart
from dfml.ui.components.tile_grid import prepared_grid
from dfml.ui.runs.shared import YOUNG, shared
from dfml.ui.training.floors import FLOOR, adapts_by, floor_of, way_of
from dfml.ui.training.phases import Phase, length, phases, recovers
from dfml.ui.training.task_map import MAP_HELP, prepared_task_map
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
        strong = f"**{phase.name}**" if phase.state == "now" else phase.name
        grid.progress(phase.share, text=f"{SIGNS[phase.state]} {strong} · {plain(phase.text)}")


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


class Hero(NamedTuple):
    """The large chart, what is said of its lines, and what below it."""

    chart: Prepared
    about: str
    caption: str


class Told(NamedTuple):
    """What a run's files say of its story, made once for all who watch it; None: the run has no such part."""

    result: Mapping[str, Any] | None
    hero: Hero
    diversity: Prepared | None
    newest: int | None
    tasks: Prepared | None
    task_map: Prepared | None


def live_story(run: RunFolder, status: RunStatus, scalars: Scalars, version: Hashable) -> None:
    """Draw the story of a run that works, waits, or ended early; every part has its place from the first moment.

    ``version`` is that of its files. What they say is made once for all who watch.
    """
    until = length(run.spec.config, status, scalars) or None
    # The floor is of another run, which may end at any moment.
    version = (version, until, int(time.time() / 20))
    told: Told = shared("story", run.path, version, lambda _: _told(run, scalars, until), YOUNG * status.active)
    phase_bar(phases(status, run.spec.config, scalars, told.result))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_hero(run, told.hero)
    with right:
        if told.tasks:
            _show_tasks(told)
        elif told.task_map:
            _show_map(run, told.task_map)
        elif told.diversity:
            _show_diversity(told.diversity)
    if not told.task_map or not (told.tasks or told.diversity):
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _show_diversity(told.diversity or _diversity({}, until))
    if told.tasks:
        with right:
            _show_map(run, told.task_map)


def _told(run: RunFolder, scalars: Scalars, until: float | None) -> Told:
    pictures = recovers(run.spec.config, scalars)
    newest, tasks = newest_tasks(run) if pictures else (None, None)
    placed = prepared_task_map(run, SECOND if pictures else HERO) if pictures or run.tasks() else None
    known = _diversity(scalars, until) if DIVERSITY in scalars else None
    return Told(run.result(), hero_of(run, scalars, until=until), known, newest, tasks, placed)


def hero_of(run: RunFolder, scalars: Scalars, *, until: float | None = None) -> Hero:
    """Return the large chart, ready to be drawn."""
    chart = hero(run, scalars)
    newest = ", ".join(f"on {line.name} {percent(line.values[-1])}" for line in chart.lines) or "no number yet"
    look: dict[str, Any] = {"x": "iteration", "percent": True, "levels": chart.levels, "until": until, "height": HERO}
    drawn = prepared_chart(chart.lines, y="accuracy", alt=f"Accuracy over iterations; {newest}", **look)
    return Hero(drawn, hero_help(chart), floor_caption(chart))


def show_hero(run: RunFolder, found: Hero) -> None:
    """Draw the large chart."""
    st.markdown("**Accuracy**", help=found.about)
    found.chart.draw(f"hero:{run.name}")
    if found.caption:
        st.caption(found.caption)


def _diversity(scalars: Scalars, until: float | None) -> Prepared:
    """Return how unlike the newest tasks are."""
    title = metric(DIVERSITY).title
    steps, values = scalars.get(DIVERSITY, ((), ()))
    newest = f"newest {values[-1]:.3g}" if len(values) else "no number yet"
    look: dict[str, Any] = {"x": "iteration", "y": "cosine distance", "until": until, "height": SECOND}
    return prepared_chart([Line(title, steps, values)], alt=f"{title} over iterations; {newest}", **look)


def _show_diversity(found: Prepared) -> None:
    title, about, _ = metric(DIVERSITY)
    st.markdown(f"**{title.capitalize()}**", help=about)
    found.draw("diversity")


def _show_map(run: RunFolder, found: Prepared) -> None:
    st.markdown("**Task map**", help=MAP_HELP)
    found.draw(f"map:{run.name}", on_opened_change=lambda: None)


def newest_tasks(run: RunFolder) -> tuple[int | None, Prepared]:
    """Return the iteration of the newest pseudo tasks, None without any, and their images, the newest first."""
    kept = run.images()

    def made(_: object) -> tuple[int | None, Prepared]:
        step, images = newest_images(kept)
        alt = f"{len(images)} recovered images of iteration {step}" if images else "No image is recovered yet"
        return step if images else None, prepared_grid(images, alt=alt, side=TASK_SIDE, columns=5, height=HERO)

    # By the file of the newest grid: the number of kept ones stays, at some time.
    return shared("newest tasks", run.path, kept[-1].path.name if kept else "", made)


def _show_tasks(told: Told) -> None:
    text = "What the meta-model learns from at this moment: no real image is among them."
    st.markdown(
        "**Newest pseudo tasks** · " + ("none yet" if told.newest is None else f"iteration {told.newest}"), help=text
    )
    if told.tasks:
        told.tasks.draw("newest")


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
