"""The pictures in a training's memory: what a meta-model was learning from, step by step."""

from collections.abc import Sequence

import streamlit as st

from dfml.core.evenly import evenly
from dfml.core.events import TASK
from dfml.runs.folder import StoredImages
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.inversion.picture_order import row_of_classes
from dfml.ui.runs.panel import look_again
from dfml.ui.runs.run_rows import RunRow, minute, recorded_rows, run_rows, unique
from dfml.ui.widgets.galleries import open_sheet
from dfml.ui.widgets.link_choice import in_link
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, plain, spaced

NEWEST = "newest"
MOST_STEPS = 10
"""Steps at which a place is shown."""
KINDS = {"pictures": "images", TASK: "tasks"}
"""What a training keeps to look at, by its tag, with its words; other tags are shown as they are."""


def browse_memory(_: list[RunRow]) -> None:
    """Draw the pictures of a training, own or recorded; the newest ones move on while it works."""
    # A training that has nothing to show is left out, such as one that learns nothing.
    rows = {row.name: row for row in (*run_rows("train"), *recorded_rows("train")) if row.run.images()}
    if not rows:
        text = "While a model is meta-trained, the images and tasks that it learns from are kept here, by step."
        empty_state("No training has kept pictures yet", text, icon=":material/photo_library:")
        return
    lines = unique({name: _line(row) for name, row in rows.items()})
    name = in_link(st.selectbox, "Training", list(rows), key="memory", format_func=lambda one: lines.get(one, one))
    row = rows[name]

    @st.fragment(run_every=look_again(row))
    def live() -> None:
        with one_line_errors():
            _pictures(row)

    live()


def _line(row: RunRow) -> str:
    return f"{row.title} · recorded" if row.recorded else f"{row.title} · {minute(row.created)}"


def _pictures(row: RunRow) -> None:
    """Draw the pictures of one step, and what stood in the chosen place at others."""
    entries = [entry for entry in row.run.images() if entry.labels]
    tags = sorted({entry.tag for entry in entries}, key=lambda tag: (tag == TASK, tag))
    if not tags:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        tag = in_link(st.segmented_control, "Show", tags, key="kind", format_func=lambda tag: KINDS.get(tag, tag))
        kept = [entry for entry in entries if entry.tag == tag]
        steps = [str(step) for step in dict.fromkeys(entry.step for entry in kept)]
        options, text = [*steps, NEWEST], "Of long trainings some steps are kept, spread evenly."
        asked = NEWEST
        if len(steps) > 1:
            asked = in_link(st.select_slider, "Iteration", options, key="at", default=NEWEST, help=text)
    entry = kept[-1] if asked == NEWEST else next(one for one in reversed(kept) if str(one.step) == asked)
    cells = open_sheet(entry)
    called = class_names(entry)[: len(cells)]
    different = len(set(called))
    classes = f"{different} class" + "es" * (different != 1)
    st.markdown(f"Iteration {entry.step} · {counted(len(cells), 'image')} of {classes}")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        columns = row_of_classes(called, 7)
        alt = f"{len(cells)} images at iteration {entry.step}"
        picked = tile_grid(
            cells, key=f"memory:{row.name}:{tag}", alt=alt, captions=called, side=60, columns=columns, picked=0
        )
    with right:
        place = picked or 0
        if place < len(cells):
            words = f"Place {place + 1}, {called[place]}, iteration {entry.step}"
            st.markdown(f"**Place {place + 1}** · {plain(called[place])}")
            key = f"memory_large:{row.name}"
            tile_grid([cells[place]], key=key, alt=words, captions=[words], side=224, pick=False, show_captions=False)
            _other_steps(row, kept, place, called)
    if row.recorded:
        st.caption(f"From the recorded run {plain(row.name)}.")


def class_names(entry: StoredImages) -> list[str]:
    """Return what each image's class is called; its number where the run, or its zoo, told no name."""
    names = entry.names if len(entry.names) == len(entry.labels) else [""] * len(entry.labels)
    return [spaced(name) if name else f"class {label}" for name, label in zip(names, entry.labels, strict=True)]


def _other_steps(row: RunRow, kept: Sequence[StoredImages], place: int, called: Sequence[str]) -> None:
    """Draw what stood in the place at other steps; only where the places mean the same classes throughout."""
    fitting = [entry for entry in kept if class_names(entry)[: len(called)] == list(called)]
    if len(fitting) < 2:
        return
    opened = ((entry.step, open_sheet(entry)) for entry in evenly(fitting, MOST_STEPS))
    found = [(step, sheet[place]) for step, sheet in opened if place < len(sheet)]
    st.caption("In this place, by iteration")
    images, captions = [image for _, image in found], [str(step) for step, _ in found]
    alt = f"place {place + 1} at {len(found)} iterations"
    tile_grid(images, key=f"memory_path:{row.name}", alt=alt, captions=captions, side=44, pick=False)
