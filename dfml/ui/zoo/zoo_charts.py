"""What a zoo's teachers know, how good they are, and of which architectures: charts of those that were looked for."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from dfml.ui.charts.bars import (
    accuracies_by_architecture,
    accuracy_histogram,
    architecture_bars,
    class_coverage,
    class_rows_end,
)
from dfml.ui.widgets.texts import empty_state, percent, show_chart, spaced
from dfml.zoo.listing import TeacherRow, ZooListing

MOST_BARS, MOST_SEEN, TALL = 300, 14, 300
"""Classes in a chart, and of those what is seen before it scrolls; pixels after which other charts do."""


def zoo_charts(zoo: ZooListing, found: Sequence[TeacherRow]) -> None:
    """Draw the charts of the teachers ``found``, of which there is one at least, whatever their order."""
    ids = {row.id for row in found}
    shown = replace(zoo, teachers=tuple(row for row in zoo.teachers if row.id in ids))
    left, right = st.columns(2, gap="medium")
    with left:
        _accuracies(shown)
    with right:
        _classes(shown)
    if len(shown.architectures) > 1:
        left, right = st.columns(2, gap="medium")
        with left:
            _architectures(shown)
        with right:
            _by_architecture(shown)


def _accuracies(shown: ZooListing) -> None:
    st.header("How good the teachers are", anchor=False)
    known = [row.accuracy for row in shown.teachers if row.accuracy is not None]
    if not known:
        empty_state("No accuracies", "The owners of these models reported none.", icon=":material/query_stats:")
        return
    reach = f"{percent(min(known))} to {percent(max(known))}, mean {percent(shown.mean_accuracy)}"
    show_chart(accuracy_histogram(known), key="accuracy_histogram", alt=f"Histogram of held-out accuracy: {reach}")


def _classes(shown: ZooListing) -> None:
    st.header("Which classes they know", anchor=False)
    counts = [(spaced(name), count) for name, count in shown.class_counts.items()]
    if not counts:
        empty_state("No class names", "The owners of these models gave none.", icon=":material/label_off:")
        return
    with st.container(height=class_rows_end(MOST_SEEN) if len(counts) > MOST_SEEN else "content", border=False):
        alt, look = f"Bars: in how many teachers each of {len(counts)} classes occurs", {"displayModeBar": False}
        show_chart(class_coverage(counts[:MOST_BARS]), key="class_coverage", alt=alt, config=look)
    if len(counts) > MOST_SEEN:
        most = "" if len(counts) <= MOST_BARS else f"{MOST_BARS} of "
        st.caption(f"The chart scrolls: it has {most}{len(counts):,} classes, the most frequent first.")
    if not shown.shared_class_names:
        st.caption("The owners do not vouch that equal names mean the same class, so methods keep them apart.")


def _architectures(shown: ZooListing) -> None:
    st.header("Of which architectures they are", anchor=False)
    counts = list(shown.architectures.items())
    alt = f"Bars: how many teachers each of {len(counts)} architectures has, {counts[0][1]} at most"
    with st.container(height=TALL if len(counts) > 12 else "content", border=False):
        look = {"key": "architectures", "alt": alt, "config": {"displayModeBar": False}}
        show_chart(architecture_bars(counts[:MOST_BARS]), **look)


def _by_architecture(shown: ZooListing) -> None:
    st.header("How good each architecture is", anchor=False)
    known = defaultdict(list)
    for row in shown.teachers:
        if row.accuracy is not None:
            known[row.family].append(row.accuracy)
    # In the order of the bars beside it.
    families = [(name, known[name]) for name in shown.architectures if known[name]]
    if not families:
        empty_state("No accuracies", "The owners of these models reported none.", icon=":material/query_stats:")
        return
    alt = f"Held-out accuracies of the teachers of each of {len(families)} architectures"
    with st.container(height=TALL if len(families) > 12 else "content", border=False):
        look = {"key": "by_architecture", "alt": alt, "config": {"displayModeBar": False}}
        show_chart(accuracies_by_architecture(families[:MOST_BARS]), **look)
    st.caption("A point is a teacher, the line in a box their median. Their classes differ, so this ranks no network.")
