"""The parts of the zoo page."""

from __future__ import annotations

import streamlit as st

from dfml.core.names import same
from dfml.ui.charts.bars import accuracy_histogram, class_coverage
from dfml.ui.charts.chart_box import show_chart
from dfml.ui.widgets.messages import empty_state
from dfml.ui.widgets.metrics import megabytes, percent
from dfml.ui.widgets.navigation import INVERSION
from dfml.ui.widgets.texts import badge, listed, plain, spaced
from dfml.ui.widgets.theme import palette
from dfml.zoo.listing import TeacherRow, ZooListing

MOST_BARS, SHOWN = 300, 100
"""Classes in the chart, and in a cell of the table."""

ACCESS = {
    "weights": "weights: everything may be looked at",
    "gradients": "gradients: images in, gradients out",
    "queries": "queries: images in, probabilities out",
}


def summary(zoo: ZooListing) -> None:
    """Draw the zoo in five numbers, and name the models that cannot be used."""
    networks = plain(", ".join(f"{name}: {count}" for name, count in zoo.architectures.items()))
    mean = "Mean over the teachers, each on images of its own classes that it was not trained on."
    classes = len(zoo.class_counts) or "unnamed"
    grid = st.grid(5, min_column_width=130)
    grid.metric("Teachers", len(zoo.teachers), border=True)
    grid.metric("Accuracy", percent(zoo.mean_accuracy), border=True, help=mean)
    grid.metric("Classes", classes, border=True, help="Different class names over all teachers.")
    grid.metric("Architectures", len(zoo.architectures), border=True, help=networks)
    grid.metric("Size", megabytes(zoo.size), border=True, help="Bytes of all weight files.")
    if zoo.problems:
        count = len(zoo.problems)
        lines = "\n".join(f"- {plain(reason)}" for reason in list(zoo.problems.values())[:10])
        more = f"\n- and {count - 10} more" if count > 10 else ""
        st.warning(
            f"{count} model{'s' * (count > 1)} cannot be used; the other {len(zoo.teachers)} can:\n{lines}{more}",
            icon=":material/warning:",
        )


def teacher_table(zoo: ZooListing) -> TeacherRow:
    """Draw the table of teachers with a search; returns the chosen one (the first at the start)."""
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
        text = f"Nothing in this zoo is called {plain(repr(words))}."
        empty_state("No teacher matches", text, icon=":material/search_off:")
        return zoo.teachers[0]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    event = st.dataframe(
        {
            "id": [row.id for row in found],
            "accuracy": [None if row.accuracy is None else 100 * row.accuracy for row in found],
            "classes": [listed(row.class_names, SHOWN) for row in found],
            "architecture": [row.family for row in found],
        },
        key=f"teachers:{zoo.reference}:{words}",
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [0]}},
        hide_index=True,
        height=420,
        column_config={
            "id": text("Teacher", width="small"),
            "accuracy": number("Accuracy", format="%.1f %%", width="small", help="On held-out images."),
            "classes": text("Classes", width="large"),
            "architecture": text("Architecture", width="small"),
        },
        alt=f"Table of {len(found)} teachers with accuracy, classes and architecture",
    )
    rows = event.selection.rows
    st.caption(f"{len(found)} of {len(zoo.teachers)} teachers. Select a row to see the teacher's card.")
    return found[rows[0]] if rows and rows[0] < len(found) else found[0]


def matches(row: TeacherRow, words: str) -> bool:
    """Whether all words occur in the teacher's id, architecture or classes."""
    text = same(" ".join((row.id, row.family, *map(spaced, row.class_names)))).casefold()
    return all(word in text for word in same(words or "").casefold().split())


def teacher_card(zoo: ZooListing, row: TeacherRow) -> None:
    """Draw all that is known of one teacher, and the way to its images."""
    st.subheader(f"Teacher {plain(row.id)}", anchor=False)
    with st.container(border=True):
        with st.container(horizontal=True, gap="xsmall"):
            for name in row.class_names[:20]:
                st.markdown(badge(spaced(name), "blue" if row.classes else "gray"))
            if row.way > 20:
                st.badge(f"and {row.way - 20} more", color="gray")
        channels, height, width = row.input_size
        facts = {
            "Held-out accuracy": percent(row.accuracy),
            "Architecture": row.family,
            "Input": f"{width} × {height} px, {'grey' if channels == 1 else 'colour'}",
            "Weights": megabytes(row.size),
            "Access": ACCESS[row.access],
            "Judge": "yes, for checking recovered images" if row.judge else "none",
            "Trained on": row.domain or zoo.domain or "unknown",
            "Seed": "unknown" if row.seed is None else str(row.seed),
            "Licence": row.licence or "not stated",
            "Source": row.source or "not stated",
        }
        table = {"": [f"**{name}**" for name in facts], " ": [plain(text) for text in facts.values()]}
        st.table(table, border="horizontal", hide_header=True, hide_index=True)
        st.page_link(
            INVERSION,
            label="Recover images from this teacher",
            icon=":material/image_search:",
            query_params={"zoo": zoo.reference, "teacher": row.id},
            help="",
        )


def coverage_panel(zoo: ZooListing) -> None:
    """Draw how accurate the teachers are, and which classes they know."""
    known = [row.accuracy for row in zoo.teachers if row.accuracy is not None]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("How good the teachers are", anchor=False)
        if known:
            reach = f"{percent(min(known))} to {percent(max(known))}, mean {percent(zoo.mean_accuracy)}"
            chart = accuracy_histogram(known, palette=palette())
            show_chart(chart, key="accuracy_histogram", alt=f"Histogram of held-out accuracy: {reach}")
        else:
            empty_state("No accuracies", "The owners of these models reported none.", icon=":material/query_stats:")
    with right:
        st.subheader("Which classes they know", anchor=False)
        counts = [(spaced(name), count) for name, count in zoo.class_counts.items()]
        if not counts:
            empty_state("No class names", "The owners of these models gave none.", icon=":material/label_off:")
            return
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
