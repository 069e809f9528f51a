"""Home: what data-free meta-learning is, the way through the app, and what is here. Imports no torch."""

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.core.remedies import PROGRAM
from dfml.runs.elsewhere import other_runs, told
from dfml.ui.runs.run_rows import PAGE_OF, run_rows
from dfml.ui.widgets.metrics import chip, megabytes
from dfml.ui.widgets.navigation import ADAPTATION, INVERSION, TRAINING, ZOO, within_app
from dfml.ui.widgets.texts import empty_state, percent, plain
from dfml.zoo.listing import read_zoo, zoo_names

within_app()
STEPS = (
    ("1. Model zoo", ZOO, "Meet the **teachers**: trained classifiers whose data is gone."),
    ("2. Inversion", INVERSION, "Watch images being **recovered** from a teacher, out of noise."),
    ("3. Meta-training", TRAINING, "Train a **meta-model** on tasks of recovered images."),
    ("4. Adaptation", ADAPTATION, "Show it a few images **of your own** and let it classify new ones."),
)
MOST_RUNS = 6
OTHER = "_other_runs"

st.title("Learn to learn, without any data")
st.markdown(
    "You have a **zoo** of trained classifiers, but none of the images that they were trained on. "
    "**Data-free meta-learning** recovers images from those classifiers and makes small tasks of them. "
    "On these tasks it trains one **meta-model** that learns a new class from one to five images.",
    width=820,
)
grid = st.grid(4, min_column_width=160, border=True, gap="xsmall")
for title, page, text in STEPS:
    with grid.cell():
        st.page_link(page.file, label=f"**{title}**", icon=page.icon, help="")
        st.markdown(text)

st.subheader("Zoos in this app", anchor=False)
names = zoo_names()
if not names:
    text = f"Make one with `{PROGRAM} zoo pretrain --data DIR --out ZOO`, then open it on the Model zoo page."
    empty_state("No zoo is embedded", text, icon=ZOO.icon)
else:
    grid = st.grid(3, min_column_width=260, border=True)
for name in names:
    with grid.cell():
        try:
            zoo = read_zoo(name)
        except DfmlError as error:
            st.error(plain(str(error)))
            continue
        st.page_link(ZOO.file, label=f"**{name}**", icon=ZOO.icon, query_params={"zoo": name}, help="")
        st.markdown(f"{len(zoo.teachers)} teachers · {len(zoo.class_counts)} classes · {megabytes(zoo.size)}")
        st.caption(f"mean held-out accuracy {percent(zoo.mean_accuracy)}")

st.subheader("Recent runs", anchor=False)
rows = run_rows()[:MOST_RUNS]
if not rows:
    text = "Start with a recovery on the Inversion page: it takes well under a minute."
    empty_state("No runs yet", text, icon=":material/rocket_launch:")
else:
    grid = st.grid(3, min_column_width=260, border=True)
if OTHER not in st.session_state:
    st.session_state[OTHER] = other_runs()
if other := st.session_state[OTHER]:
    st.caption(plain(told(other)))
for row in rows:
    with grid.cell():
        look = chip(row.state)
        page, title = PAGE_OF.get(row.kind), f"**{plain(row.title)}**"
        if page:
            st.page_link(page.file, label=title, icon=page.icon, query_params={"run": row.name}, help="")
        else:
            st.markdown(title)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(look.word, icon=look.icon, color=look.colour)
            st.caption(row.age, width="content")
        if row.message:
            st.caption(plain(row.message))
