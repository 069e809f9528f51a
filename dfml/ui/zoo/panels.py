"""The parts of the zoo page, and the zoo chooser that every lab page shares."""

from __future__ import annotations

import os

import streamlit as st

from dfml.core.addresses import is_address
from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.charts.curves import accuracy_histogram, class_coverage
from dfml.ui.widgets.messages import empty_state
from dfml.ui.widgets.metrics import megabytes, percent
from dfml.ui.widgets.navigation import INVERSION
from dfml.ui.widgets.remember import recall, remember
from dfml.ui.widgets.texts import badge, plain
from dfml.ui.widgets.theme import palette
from dfml.ui.zoo.remote import ask_again, remote_listing
from dfml.zoo.listing import TeacherRow, ZooListing, read_zoo, zoo_folder, zoo_names

CONNECTED = "_connected_servers"
NEXT_ZOO = "_next_zoo"
MOST_BARS, SHOWN = 300, 100
"""Classes in the chart, and in a cell of the table."""

ACCESS = {
    "weights": "weights: everything may be looked at",
    "gradients": "gradients: pictures in, gradients out",
    "queries": "queries: pictures in, probabilities out",
}


@st.cache_data(show_spinner=False, max_entries=32)
def _listing(reference: str, changed: tuple[float, ...]) -> ZooListing:
    return read_zoo(reference)


def open_listing(reference: str) -> ZooListing:
    """A zoo's listing, read again when its list of models changes.

    Raises:
        BadInput: See ``read_zoo``; also when nothing was chosen.
    """
    if not reference:
        raise BadInput("give the path of a zoo's folder, or a server's address.")
    if is_address(reference):
        if reference not in st.session_state.get(CONNECTED, []):
            raise BadInput(f"Server {reference} has not been asked for its teachers yet: press Connect.")
        return remote_listing(reference)
    index = zoo_folder(reference) / "zoo.json"
    there = os.path.isfile(index)
    changed = (index.stat().st_mtime_ns, index.parent.stat().st_mtime_ns) if there else ()
    return _listing(reference, changed)


def offered_zoos() -> list[str]:
    """What a zoo chooser offers: the embedded zoos, and the ones that the reader opened by path."""
    opened = [path for path in st.session_state.get("opened_zoos", []) if path not in zoo_names()]
    asked = st.query_params.get("zoo")
    if asked and asked not in zoo_names() and asked not in opened:
        opened.append(asked)
    return [*zoo_names(), *opened]


def choose_zoo(*, allow_new: bool = True) -> str:
    """Draw the zoo chooser; the choice stands in the link as ``zoo``.

    Args:
        allow_new: Whether a path may be typed in.

    Returns:
        An embedded zoo's name, a path, or an empty string.
    """
    names = offered_zoos()
    if NEXT_ZOO in st.session_state:
        st.session_state["zoo"] = st.session_state.pop(NEXT_ZOO)
    recall("zoo", names)
    choice = st.selectbox(
        "Zoo",
        names,
        key="zoo",
        bind="query-params",
        accept_new_options=allow_new,
        placeholder="Choose a zoo, or type the path of one",
        help="An embedded zoo, or type the path of a folder that holds a zoo.json, or the address of a server that "
        "speaks the Open Inference Protocol v2, and press Enter.",
    )
    if choice and choice not in names:
        st.session_state["opened_zoos"] = [*st.session_state.get("opened_zoos", []), choice]
        _connect(choice)
    elif choice and is_address(choice):
        # A link alone must not make this computer call another one.
        new = choice not in st.session_state.get(CONNECTED, [])
        word = "Connect" if new else "Ask the server again"
        st.button(word, icon=":material/lan:", on_click=_connect, args=(choice,), help=plain(choice))
    return remember("zoo", choice) or ""


def choose_next(reference: str) -> None:
    """Let the next script run show this zoo, and start that script run now."""
    opened = st.session_state.get("opened_zoos", [])
    st.session_state["opened_zoos"] = [*opened, *({reference} - {*opened})]
    st.session_state[NEXT_ZOO] = reference
    st.rerun()


def _connect(address: str) -> None:
    if is_address(address):
        ask_again()
        st.session_state[CONNECTED] = [*st.session_state.get(CONNECTED, []), address]


def summary(zoo: ZooListing) -> None:
    """The zoo in five numbers."""
    grid = st.grid(5, min_column_width=130)
    grid.metric("Teachers", len(zoo.teachers), border=True)
    grid.metric(
        "Accuracy",
        percent(zoo.mean_accuracy),
        border=True,
        help="Mean over the teachers, each on pictures of its own classes that it was not trained on.",
    )
    grid.metric(
        "Classes", len(zoo.class_counts) or "unnamed", border=True, help="Different class names over all teachers."
    )
    grid.metric(
        "Architectures",
        len(zoo.architectures),
        border=True,
        help=plain(", ".join(f"{n}: {k}" for n, k in zoo.architectures.items())),
    )
    grid.metric("Size", megabytes(zoo.size), border=True, help="Bytes of all weight files.")


def problems_panel(zoo: ZooListing) -> None:
    """Name the models that cannot be used."""
    if zoo.problems:
        count = len(zoo.problems)
        lines = "\n".join(f"- {plain(reason)}" for reason in list(zoo.problems.values())[:10])
        more = f"\n- and {count - 10} more" if count > 10 else ""
        st.warning(
            f"{count} model{'s' * (count > 1)} cannot be used; the other {len(zoo.teachers)} can:\n{lines}{more}",
            icon=":material/warning:",
        )


def teacher_table(zoo: ZooListing) -> TeacherRow:
    """The table of teachers with a search; returns the chosen one (the first at the start)."""
    st.subheader("Teachers", anchor=False)
    words = st.text_input(
        "Search teachers",
        key="search",
        bind="query-params",
        placeholder="a class, an id or an architecture",
        type="search",
        live=True,
        label_visibility="collapsed",
    )
    found = [row for row in zoo.teachers if matches(row, words)]
    if not found:
        empty_state(
            "No teacher matches", f"Nothing in this zoo is called {plain(repr(words))}.", icon=":material/search_off:"
        )
        return zoo.teachers[0]
    columns = {
        "id": [row.id for row in found],
        "accuracy": [None if row.accuracy is None else 100 * row.accuracy for row in found],
        "classes": [", ".join(map(spaced, row.classes[:SHOWN])) + ", …" * (len(row.classes) > SHOWN) for row in found],
        "architecture": [row.architecture for row in found],
    }
    event = st.dataframe(
        columns,
        key=f"teachers:{zoo.reference}:{words}",
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [0]}},
        hide_index=True,
        height=420,
        column_config={
            "id": st.column_config.TextColumn("Teacher", width="small"),
            "accuracy": st.column_config.NumberColumn(
                "Accuracy", format="%.1f %%", width="small", help="On held-out pictures."
            ),
            "classes": st.column_config.TextColumn("Classes", width="large"),
            "architecture": st.column_config.TextColumn("Architecture", width="small"),
        },
        alt=f"Table of {len(found)} teachers with accuracy, classes and architecture",
    )
    rows = event.selection.rows
    st.caption(f"{len(found)} of {len(zoo.teachers)} teachers. Select a row to see the teacher's card.")
    return found[rows[0]] if rows and rows[0] < len(found) else found[0]


def spaced(name: str) -> str:
    """A class name for people: data sets write blanks as underscores."""
    return name.replace("_", " ")


def matches(row: TeacherRow, words: str) -> bool:
    """Whether all words occur in the teacher's id, architecture or classes."""
    text = same(" ".join((row.id, row.architecture, *map(spaced, row.classes)))).casefold()
    return all(word in text for word in same(words or "").casefold().split())


def teacher_card(zoo: ZooListing, row: TeacherRow) -> None:
    """All that is known of one teacher, and the way to its pictures."""
    st.subheader(f"Teacher {plain(row.id)}", anchor=False)
    with st.container(border=True):
        with st.container(horizontal=True, gap="xsmall"):
            for name in row.classes[:20]:
                st.markdown(badge(spaced(name), "blue" if row.named else "gray"))
            if len(row.classes) > 20:
                st.badge(f"and {len(row.classes) - 20} more", color="gray")
        channels, height, width = row.input_size
        facts = {
            "Held-out accuracy": percent(row.accuracy),
            "Architecture": row.architecture,
            "Input": f"{width} × {height} px, {'grey' if channels == 1 else 'colour'}",
            "Weights": megabytes(row.size),
            "Access": ACCESS.get(row.access, row.access),
            "Judge": "yes, for checking recovered pictures" if row.judge else "none",
            "Trained on": row.domain or zoo.domain or "unknown",
            "Seed": "unknown" if row.seed is None else str(row.seed),
            "Licence": row.licence or "not stated",
            "Source": row.source or "not stated",
        }
        st.table(
            {"": [f"**{name}**" for name in facts], " ": [plain(text) for text in facts.values()]},
            border="horizontal",
            hide_header=True,
            hide_index=True,
        )
        st.page_link(
            INVERSION,
            label="Recover pictures from this teacher",
            icon=":material/image_search:",
            query_params={"zoo": zoo.reference, "teacher": row.id},
            help="",
        )


def coverage_panel(zoo: ZooListing) -> None:
    """How accurate the teachers are, and which classes they know."""
    known = [row.accuracy for row in zoo.teachers if row.accuracy is not None]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("How good the teachers are", anchor=False)
        if known:
            show_chart(
                accuracy_histogram(known, palette=palette()),
                key="accuracy_histogram",
                alt=f"Histogram of held-out accuracy: {percent(min(known))} to {percent(max(known))}, "
                f"mean {percent(zoo.mean_accuracy)}",
            )
        else:
            empty_state("No accuracies", "The owners of these models reported none.", icon=":material/query_stats:")
    with right:
        st.subheader("Which classes they know", anchor=False)
        counts = [(spaced(name), count) for name, count in zoo.class_counts.items()]
        if counts:
            with st.container(height=300, border=False):
                show_chart(
                    class_coverage(counts[:MOST_BARS], palette=palette()),
                    key="class_coverage",
                    alt=f"Bars: in how many teachers each of {len(counts)} classes occurs",
                    config={"displayModeBar": False},
                )
            if len(counts) > MOST_BARS:
                st.caption(f"The {MOST_BARS} most frequent of {len(counts):,} classes.")
            if not zoo.shared_class_names:
                st.caption("The owners do not vouch that equal names mean the same class, so methods keep them apart.")
        else:
            empty_state("No class names", "The owners of these models gave none.", icon=":material/label_off:")
