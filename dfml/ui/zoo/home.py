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

ICONS = {
    ZOO: ":material/pets:",
    INVERSION: ":material/image_search:",
    TRAINING: ":material/model_training:",
    ADAPTATION: ":material/bolt:",
}
STEPS = (
    ("1. Model zoo", ZOO, "Meet the **teachers**: trained classifiers whose data is gone."),
    ("2. Inversion", INVERSION, "Watch images being **recovered** from a teacher, out of noise."),
    ("3. Meta-training", TRAINING, "Train a **meta-model** on tasks of recovered images."),
    ("4. Adaptation", ADAPTATION, "Show it a few images **of your own** and let it classify new ones."),
)


def steps() -> None:
    """Draw the way through the app, one card per step."""
    grid = st.grid(4, min_column_width=160, border=True, gap="xsmall")
    for title, page, text in STEPS:
        with grid.cell():
            st.page_link(page, label=f"**{title}**", icon=ICONS[page], help="")
            st.markdown(text)


def zoo_cards() -> None:
    """Draw one card per embedded zoo."""
    names = zoo_names()
    if not names:
        text = "Make one with `python -m dfml zoo pretrain --data DIR --out ZOO`, then open it on the Model zoo page."
        empty_state("No zoo is embedded", text, icon=ICONS[ZOO])
        return
    grid = st.grid(3, min_column_width=260, border=True)
    for name in names:
        with grid.cell():
            try:
                zoo = read_zoo(name)
            except DfmlError as error:
                st.error(plain(str(error)))
                continue
            st.page_link(ZOO, label=f"**{name}**", icon=ICONS[ZOO], query_params={"zoo": name}, help="")
            st.markdown(f"{len(zoo.teachers)} teachers · {len(zoo.class_counts)} classes · {megabytes(zoo.size)}")
            st.caption(f"mean held-out accuracy {percent(zoo.mean_accuracy)}")


def recent_runs(limit: int = 6) -> None:
    """Draw the newest runs with their state and a link."""
    rows = run_rows()
    if not rows:
        text = "Start with a recovery on the Inversion page: it takes well under a minute."
        empty_state("No runs yet", text, icon=":material/rocket_launch:")
        return
    grid = st.grid(3, min_column_width=260, border=True)
    for row in rows[:limit]:
        with grid.cell():
            _run_card(row)


def _run_card(row: RunRow) -> None:
    look = chip(row.state)
    page, parameters = page_of(row)
    title = f"**{plain(row.title)}**"
    if page:
        st.page_link(page, label=title, icon=ICONS[page], query_params=parameters, help="")
    else:
        st.markdown(title)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(look.word, icon=look.icon, color=look.colour)
        st.caption(row.age, width="content")
    if row.message:
        st.caption(plain(row.message))
