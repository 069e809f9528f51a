"""Which teachers of a zoo are looked at, by words and by what their cards say, and the table to choose one from."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dfml.core.names import same
from dfml.ui.components.mounting import mark_of
from dfml.ui.widgets.link_choice import in_link
from dfml.ui.widgets.texts import empty_state, listed, plain, spaced, table_height
from dfml.zoo.listing import TeacherRow, ZooListing

TEACHER = "teacher"
"""The name, in the link, of the teacher whose card is shown."""
SHOWN = 100
"""Classes in a cell of the table."""
ANY = "any"
ACCESS = {
    "weights": "weights: everything may be looked at",
    "gradients": "gradients: images in, gradients out",
    "queries": "queries: images in, probabilities out",
}
ORDERS: dict[str, tuple[str, Callable[[TeacherRow], Any]]] = {
    "zoo": ("the zoo's", lambda row: 0),
    "best": ("best first", lambda row: 2.0 if row.accuracy is None else -row.accuracy),
    "worst": ("worst first", lambda row: 2.0 if row.accuracy is None else row.accuracy),
    "architecture": ("by architecture", lambda row: row.family),
    "classes": ("most classes", lambda row: -row.way),
}
"""By its name in the link, an order in words, and what teachers are sorted by; whoever tells no accuracy comes last."""

FILTERS: list[tuple[str, str, Callable[[TeacherRow], str]]] = [
    ("Architecture", "architecture", lambda row: row.family),
    ("Access", "access", lambda row: row.access),
    ("Trained on", "domain", lambda row: row.domain or "not stated"),
]
"""What is asked for, its name in the link, and what a teacher has of it."""


def found_teachers(zoo: ZooListing) -> list[TeacherRow]:
    """Draw the search and the filters that can tell this zoo's teachers apart; return who passes, in the order."""
    st.header("Teachers", anchor=False)
    rows = list(zoo.teachers)
    known = [row.accuracy for row in rows if row.accuracy is not None]
    differ = bool(known) and min(known) < max(known)
    filters = [(label, key, value, _values(rows, value)) for label, key, value in FILTERS]
    filters = [one for one in filters if len(one[3]) > 1]
    several = ["architecture"] if len(zoo.architectures) > 1 else []
    several += ["classes"] if len({row.way for row in rows}) > 1 else []
    orders = ["zoo", *(["best", "worst"] if differ else []), *several]
    grid = st.grid(1 + (len(orders) > 1) + len(filters) + differ, min_column_width=140)
    with grid.cell():
        look: dict[str, Any] = {"type": "search", "live": True, "placeholder": "class, id, network"}
        words = st.text_input("Search teachers", "", key="search", bind="query-params", **look)
        rows = [row for row in rows if matches(row, words)]
    if len(orders) > 1:
        with grid.cell():
            order = in_link(st.selectbox, "Order", orders, key="order", format_func=lambda name: ORDERS[name][0])
            rows.sort(key=ORDERS[order][1])
    for label, key, value, offered in filters:
        with grid.cell():
            # A zoo may call anything "any": the one that is offered first is ours.
            options = list(dict.fromkeys([ANY, *offered]))
            wanted = in_link(st.selectbox, label, options, key=key)
            rows = [row for row in rows if wanted in (ANY, value(row))]
    if differ:
        with grid.cell():
            text = "On held-out images. Teachers that tell no accuracy are shown only while the range is whole."
            look = {"format": "%d %%", "key": "accuracy", "bind": "query-params", "help": text}
            low, high = st.slider("Accuracy", 0, 100, (0, 100), **look)
            rows = [row for row in rows if (low, high) == (0, 100) or _within(row, low, high)]
    return rows


def _values(rows: Sequence[TeacherRow], value: Callable[[TeacherRow], str]) -> list[str]:
    """Return what there is of a filter's values, the most frequent first."""
    return [name for name, _ in Counter(map(value, rows)).most_common()]


def _within(row: TeacherRow, low: int, high: int) -> bool:
    return row.accuracy is not None and low <= 100 * row.accuracy <= high


def matches(row: TeacherRow, words: str) -> bool:
    """Whether all words occur in the teacher's id, architecture or classes."""
    wanted = same(words or "").casefold().split()
    if not wanted:
        return True
    text = same(" ".join((row.id, row.family, *map(spaced, row.class_names)))).casefold()
    return all(word in text for word in wanted)


def teacher_table(zoo: ZooListing, found: list[TeacherRow]) -> TeacherRow | None:
    """Draw the table; return the chosen teacher, the first one at the start, or None where there is none to choose.

    The choice stands in the link, so that the map and Back choose in the table, too.
    """
    if not found:
        words, text = st.session_state.get("search") or "", "None has all that is asked for above."
        if not any(matches(row, words) for row in zoo.teachers):
            text = f"Nothing in this zoo is called {plain(repr(words))}."
        empty_state("No teacher matches", text, icon=":material/search_off:")
        return None
    ids, asked = [row.id for row in found], st.query_params.get(TEACHER)
    place = ids.index(asked) if asked in ids else 0
    last, fresh = st.session_state.get("_teachers", (asked, 0))
    if last != asked:
        fresh += 1  # chosen elsewhere: a table takes its first choice from the script only when it is new
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    event = st.dataframe(
        {
            "id": ids,
            "accuracy": [None if row.accuracy is None else 100 * row.accuracy for row in found],
            "classes": [listed(row.class_names, SHOWN) for row in found],
            "architecture": [row.family for row in found],
        },
        key=f"teachers:{mark_of(zoo.reference, ids)}:{fresh}",
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [place]}},
        hide_index=True,
        height=table_height(len(found), 11),
        column_config={
            "id": text("Teacher", width="small"),
            "accuracy": number("Accuracy", format="%.1f %%", width="small", help="On held-out images."),
            "classes": text("Classes", width="large"),
            "architecture": text("Architecture", width="small"),
        },
        alt=f"Table of {len(found)} teachers with accuracy, classes and architecture",
    )
    rows = event.selection.rows
    chosen = rows[0] if rows and rows[0] < len(found) else place
    if chosen != place:
        asked = ids[chosen]
        open_teacher(asked)
    st.session_state["_teachers"] = (asked, fresh)
    st.caption(f"{len(found)} of {len(zoo.teachers)} teachers. Select a row to see the teacher's card.")
    return found[chosen]


def open_teacher(teacher: str) -> None:
    """Let the link name a teacher: the next script run shows its card."""
    st.query_params[TEACHER] = teacher
