"""The parts of the home page: the four steps, the zoos, the newest runs."""

from __future__ import annotations

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.ui.runs.run_rows import RunRow, page_of, run_rows
from dfml.ui.widgets.messages import empty_state
from dfml.ui.widgets.metrics import megabytes, percent
from dfml.ui.widgets.navigation import ADAPTATION, INVERSION, TRAINING, ZOO
from dfml.ui.widgets.texts import plain
from dfml.ui.widgets.theme import chip
from dfml.zoo.listing import read_zoo, zoo_names

ICONS = {"train": ":material/model_training:", "invert": ":material/image_search:"}
STEPS = (
    ("1. Model zoo", ZOO, ":material/pets:", "Meet the **teachers**: trained classifiers whose data is gone."),
    (
        "2. Inversion",
        INVERSION,
        ":material/image_search:",
        "Watch pictures being **recovered** from a teacher, out of noise.",
    ),
    (
        "3. Meta-training",
        TRAINING,
        ":material/model_training:",
        "Train a **meta-model** on tasks of recovered pictures.",
    ),
    (
        "4. Adaptation",
        ADAPTATION,
        ":material/bolt:",
        "Show it a few pictures **of your own** and let it classify new ones.",
    ),
)


def steps() -> None:
    """The way through the app, one card a step."""
    grid = st.grid(4, min_column_width=160, border=True, gap="xsmall")
    for title, page, icon, text in STEPS:
        with grid.cell():
            st.page_link(page, label=f"**{title}**", icon=icon, help="")
            st.markdown(text)


def zoo_cards() -> None:
    """One card an embedded zoo."""
    names = zoo_names()
    if not names:
        empty_state(
            "No zoo is embedded",
            "Make one with `python -m dfml zoo pretrain --data DIR --out ZOO`, then open it on the Model zoo page.",
            icon=":material/pets:",
        )
        return
    grid = st.grid(3, min_column_width=260, border=True)
    for name in names:
        with grid.cell():
            try:
                zoo = read_zoo(name)
            except DfmlError as error:
                st.error(plain(str(error)))
                continue
            st.page_link(ZOO, label=f"**{name}**", icon=":material/pets:", query_params={"zoo": name}, help="")
            st.markdown(f"{len(zoo.teachers)} teachers · {len(zoo.class_counts)} classes · {megabytes(zoo.size)}")
            st.caption(f"mean held-out accuracy {percent(zoo.mean_accuracy)}")


def recent_runs(limit: int = 6) -> None:
    """The newest runs with their state and a link."""
    rows = run_rows()
    if not rows:
        empty_state(
            "No runs yet",
            "Start with a recovery on the Inversion page: it takes well under a minute.",
            icon=":material/rocket_launch:",
        )
        return
    grid = st.grid(3, min_column_width=260, border=True)
    for row in rows[:limit]:
        with grid.cell():
            run_card(row)


def run_card(row: RunRow) -> None:
    """A run in a few lines: its link, state and what it is."""
    look = chip(row.state)
    page, parameters = page_of(row)
    if page:
        st.page_link(page, label=f"**{plain(row.title)}**", icon=ICONS[row.kind], query_params=parameters, help="")
    else:
        st.markdown(f"**{plain(row.title)}**")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(look.word, icon=look.icon, color=look.colour)
        st.caption(row.age, width="content")
    if row.message:
        st.caption(plain(row.message))
