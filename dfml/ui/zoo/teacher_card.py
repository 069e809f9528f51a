"""A zoo in numbers, and all that is known of one of its teachers."""

import streamlit as st

from dfml.ui.widgets.metrics import megabytes
from dfml.ui.widgets.navigation import INVERSION
from dfml.ui.widgets.texts import badge, percent, plain, spaced
from dfml.ui.zoo.teacher_table import ACCESS
from dfml.zoo.listing import TeacherRow, ZooListing


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
        lines = [f"{count} model{'s' * (count > 1)} cannot be used; the other {len(zoo.teachers)} can:"]
        lines += [f"- {plain(reason)}" for reason in list(zoo.problems.values())[:10]]
        lines += [f"- and {count - 10} more"] if count > 10 else []
        st.warning("\n".join(lines), icon=":material/warning:")


def teacher_card(zoo: ZooListing, row: TeacherRow) -> None:
    """Draw all that is known of one teacher, and the way to its images."""
    st.header(f"Teacher {plain(row.id)}", anchor=False)
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
            "Source": (row.source or "not stated").replace("`", ""),
        }
        table = {"": [f"**{name}**" for name in facts], " ": [plain(text) for text in facts.values()]}
        st.table(table, border="horizontal", hide_header=True, hide_index=True)
        link, label = {"zoo": zoo.reference, "teacher": row.id}, "Recover images from this teacher"
        st.page_link(INVERSION.file, label=label, icon=INVERSION.icon, query_params=link, help="")
