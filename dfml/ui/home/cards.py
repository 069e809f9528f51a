"""Home's cards: the embedded zoos with pictures recovered from them, and the newest runs."""

from pathlib import Path

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.core.remedies import PROGRAM
from dfml.runs.elsewhere import other_runs, told
from dfml.ui.runs.run_rows import PAGE_OF, RunRow, recorded_rows, run_rows
from dfml.ui.widgets.galleries import open_sheet, show_strip
from dfml.ui.widgets.metrics import chip, megabytes
from dfml.ui.widgets.navigation import ZOO
from dfml.ui.widgets.texts import empty_state, percent, plain
from dfml.zoo.listing import read_zoo, zoo_names

MOST_RUNS, THUMBNAILS = 6, 5
OTHER = "_other_runs"


def zoo_cards() -> None:
    """Draw a card for each embedded zoo."""
    names = zoo_names()
    if not names:
        text = f"Make one with `{PROGRAM} zoo pretrain --data DIR --out ZOO`, then open it on the Model zoo page."
        empty_state("No zoo is embedded", text, icon=ZOO.icon)
        return
    recovered: dict[str, RunRow] = {}
    for row in recorded_rows("invert"):
        recovered.setdefault(Path(row.spec.zoo or "").name if row.spec else "", row)
    grid = st.grid(3, min_column_width=260, border=True)
    for name in names:
        with grid.cell():
            try:
                zoo = read_zoo(name)
            except DfmlError as error:
                st.error(plain(str(error)))
                continue
            st.page_link(ZOO.file, label=f"**{name}**", icon=ZOO.icon, query_params={"zoo": name}, help="")
            if name in recovered:
                _thumbnails(recovered[name], name)
            st.markdown(f"{len(zoo.teachers)} teachers · {len(zoo.class_counts)} classes · {megabytes(zoo.size)}")
            st.caption(f"mean held-out accuracy {percent(zoo.mean_accuracy)}")


def _thumbnails(row: RunRow, zoo: str) -> None:
    for entry in reversed(row.run.images()):
        if pictures := open_sheet(entry):
            firsts = {
                label: picture for label, picture in zip(reversed(entry.labels), reversed(pictures), strict=False)
            }
            shown = [firsts[label] for label in sorted(firsts)][:THUMBNAILS]
            show_strip(shown, f"{len(shown)} pictures recovered from a teacher of {zoo}", side=56)
            return


def run_cards() -> None:
    """Draw the user's newest runs."""
    rows = run_rows()[:MOST_RUNS]
    if OTHER not in st.session_state:
        st.session_state[OTHER] = other_runs()
    if not rows:
        text = "Start with a recovery on the Inversion page: it takes well under a minute."
        empty_state("No runs of yours yet", text, icon=":material/rocket_launch:")
    if other := st.session_state[OTHER]:
        st.caption(plain(told(other)))
    if not rows:
        return
    grid = st.grid(3, min_column_width=260, border=True)
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
