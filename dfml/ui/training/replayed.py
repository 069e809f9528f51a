"""A finished training played again: its accuracy, diversity, pictures and task map over one slider."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from dfml.core.evenly import evenly
from dfml.core.events import TASK
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.metrics import METRICS
from dfml.ui.components.line_chart import Line
from dfml.ui.components.point_map import CARD_SIDE
from dfml.ui.components.replay import Chart, Frame, Timeline, replay
from dfml.ui.components.sprites import packed
from dfml.ui.runs.run_rows import finite
from dfml.ui.training.story import DIVERSITY, MOST_SHOWN, floor_caption, hero, hero_help, hero_of, show_hero
from dfml.ui.training.task_map import MAP_HELP, task_map
from dfml.ui.widgets.galleries import open_sheet
from dfml.ui.widgets.metrics import metric

MOST_FRAMES, MOST_STEPS, MOVES = 40, 200, 3
"""Frames and steps at most; with fewer steps than the last there is nothing to play."""


def show_replay(run: RunFolder, *, autoplay: bool = False) -> None:
    """Draw the replay of a run; a run with a single number has nothing to play, and shows that number alone."""
    timeline = _made(str(run.path), _changed(run.path))
    if len(timeline.steps) < MOVES:
        show_hero(run, hero_of(run, finite(run.scalars())))
        return
    parts = [hero_help(timeline.charts[0]), MAP_HELP if timeline.points else ""]
    st.markdown("**The run, played again**", help=" ".join(part for part in parts if part))
    replay(timeline, key=f"replay:{run.name}", seconds=15.0, autoplay=autoplay)


def training_timeline(run: RunFolder) -> Timeline:
    """Return what is played of a run: everything is read from its files."""
    scalars = finite(run.scalars())
    accuracy = hero(run, scalars)
    charts = [accuracy]
    for name in (DIVERSITY,) if DIVERSITY in scalars else ("train/loss",) if "train/loss" in scalars else ():
        steps, values = scalars[name]
        title = metric(name).title
        charts.append(Chart(title[:1].upper() + title[1:], [Line(title, steps, values)], y=title))
    frames = _frames(run.images())
    found = task_map(run)
    every = {step for chart in charts for line in chart.lines for step in line.steps}
    every |= {frame.step for frame in frames} | {point.step for point in found.points}
    return Timeline(
        steps=evenly(sorted({0, *every}), MOST_STEPS),
        charts=charts,
        frames=frames,
        points=found.points,
        pictures=packed(found.pictures, CARD_SIDE),
        caption=floor_caption(accuracy),
        frame_title="Pseudo tasks, iteration",
        map_title="Task map",
    )


@st.cache_resource(show_spinner=False, max_entries=12)
def _made(path: str, _changed: int) -> Timeline:
    return training_timeline(RunFolder(Path(path)))


def _changed(path: Path) -> int:
    try:
        return (path / METRICS).stat().st_mtime_ns
    except OSError:
        return 0


def _frames(kept: Sequence[StoredImages]) -> list[Frame]:
    """Return one frame for each moment with images: whole grids where there are any, else those of tasks."""
    grids = [entry for entry in kept if entry.tag != TASK]
    entries = evenly(grids or list(kept), MOST_FRAMES)
    frames = {entry.step: Frame(entry.step, images[:MOST_SHOWN]) for entry in entries if (images := open_sheet(entry))}
    return [frames[step] for step in sorted(frames)]
