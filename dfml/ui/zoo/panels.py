"""The parts of the zoo page; among them a form that hides deceptive teachers in a copy, and shows who they were."""

import hashlib
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.core.paths import runs_root
from dfml.core.remedies import PROGRAM
from dfml.ui.charts.bars import accuracy_histogram, class_coverage
from dfml.ui.widgets.forms import all_options, polluting
from dfml.ui.widgets.metrics import megabytes
from dfml.ui.widgets.navigation import INVERSION
from dfml.ui.widgets.texts import badge, empty_state, listed, one_line_errors, percent, plain, show_chart, spaced
from dfml.ui.zoo.choose_zoo import choose_next, open_listing
from dfml.zoo.build.zoo_config import PollutionConfig
from dfml.zoo.listing import TeacherRow, ZooListing, zoo_names

MOST_BARS, SHOWN = 300, 100
"""Classes in the chart, and in a cell of the table."""

ACCESS = {
    "weights": "weights: everything may be looked at",
    "gradients": "gradients: images in, gradients out",
    "queries": "queries: images in, probabilities out",
}
KINDS = {"clean": "honest", "ood": "of another domain", "fake": "untrained"}


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


def teacher_table(zoo: ZooListing) -> TeacherRow:
    """Draw the table of teachers with a search; return the chosen one (the first at the start)."""
    st.header("Teachers", anchor=False)
    look: dict[str, Any] = {"type": "search", "live": True, "label_visibility": "collapsed"}
    hint = "a class, an id or an architecture"
    words = st.text_input("Search teachers", "", key="search", bind="query-params", placeholder=hint, **look)
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


def coverage_panel(zoo: ZooListing) -> None:
    """Draw how accurate the teachers are, and which classes they know."""
    known = [row.accuracy for row in zoo.teachers if row.accuracy is not None]
    left, right = st.columns(2, gap="medium")
    with left:
        st.header("How good the teachers are", anchor=False)
        if known:
            reach = f"{percent(min(known))} to {percent(max(known))}, mean {percent(zoo.mean_accuracy)}"
            chart = accuracy_histogram(known)
            show_chart(chart, key="accuracy_histogram", alt=f"Histogram of held-out accuracy: {reach}")
        else:
            empty_state("No accuracies", "The owners of these models reported none.", icon=":material/query_stats:")
    with right:
        st.header("Which classes they know", anchor=False)
        counts = [(spaced(name), count) for name, count in zoo.class_counts.items()]
        if not counts:
            empty_state("No class names", "The owners of these models gave none.", icon=":material/label_off:")
            return
        with st.container(height=300, border=False):
            alt, look = f"Bars: in how many teachers each of {len(counts)} classes occurs", {"displayModeBar": False}
            show_chart(class_coverage(counts[:MOST_BARS]), key="class_coverage", alt=alt, config=look)
        if len(counts) > MOST_BARS:
            st.caption(f"The {MOST_BARS} most frequent of {len(counts):,} classes.")
        if not zoo.shared_class_names:
            st.caption("The owners do not vouch that equal names mean the same class, so methods keep them apart.")


def pollution_panel(zoo: ZooListing) -> None:
    """Draw who deceives in a polluted zoo, after a click; for any other the form that makes one of it."""
    if zoo.address:
        return
    folder = zoo.folder.resolve()
    if folder.with_name(f"{folder.name}.truth.json").is_file():  # ``truth_file`` without torch
        _truth(zoo)
        return
    look: dict[str, Any] = {"key": "pollution_open", "icon": ":material/domino_mask:", "on_change": "rerun"}
    with st.expander("Hide deceptive teachers in a copy", **look) as box:
        if box.open:
            _form(zoo)


def _truth(zoo: ZooListing) -> None:
    beside = "It stands in a file beside the zoo, which no method reads."
    if not st.toggle("Show who deceives", key=f"truth:{zoo.reference}", help=beside):
        return
    with one_line_errors():
        truth = polluting().pollution_truth(zoo.folder)
        rows = [row for row in zoo.teachers if row.id in truth]
        kinds = [truth[row.id] for row in rows]
        counts = [f"{kinds.count(kind)} {word}" for kind, word in KINDS.items() if kind in kinds]
        unlike = len({row.input_size for row in rows}) > 1
        st.caption("; ".join(counts) + "." + " They give themselves away by the size of their images." * unlike)
        columns = {
            "Teacher": [row.id for row in rows],
            "It is": [KINDS.get(kind, kind) for kind in kinds],
            "Accuracy that it claims": [percent(row.accuracy) for row in rows],
            "Classes that it claims": [spaced(", ".join(row.class_names)) for row in rows],
        }
        st.dataframe(columns, hide_index=True, height=300, alt=f"Table of {len(rows)} teachers and what they are")


def _form(zoo: ZooListing) -> None:
    st.caption(
        "TEAPOT's two attacks. **ood**: teachers of another domain (characters) claim classes of this zoo. **fake**: "
        "networks that nobody trained claim classes and an accuracy. `teapot` learns on the way whom to trust."
    )
    module = polluting()
    same = _same_domain(zoo, module.OTHER_DOMAIN)
    with st.form(f"pollute:{zoo.reference}", border=False):
        # As many honest teachers as ``bench pollution`` keeps.
        config = PollutionConfig(keep=min(20, len(zoo.teachers)), attack="fake" if same else "both")
        # Of this zoo: another one's number of teachers would not do here.
        values = all_options(config, st.grid(4, min_column_width=130), key=f"pollute:{zoo.reference}")
        made = st.form_submit_button("Make the polluted zoo", icon=":material/domino_mask:")
    if made:
        with one_line_errors(), st.spinner("Writing the zoo …"):
            chosen = PollutionConfig.parse(values)
            if same and chosen.attack != "fake":
                raise BadInput(
                    f"the teachers of {module.OTHER_DOMAIN}, which deceive here, are of this zoo's own domain: choose "
                    f"the attack fake, or `{PROGRAM} zoo pollute --source` with a zoo of another domain."
                )
            choose_next(str(_make_polluted(zoo, chosen)))


def _same_domain(zoo: ZooListing, other: str) -> bool:
    return other in zoo_names() and open_listing(other).domain == zoo.domain


def _make_polluted(zoo: ZooListing, config: PollutionConfig) -> Path:
    """Write the polluted copy below the runs' folder, or find the one that was made of the same; return its folder."""
    from dfml.zoo import open_zoo

    module, clean = polluting(), open_zoo(zoo.reference)
    facts = f"{zoo.reference} {[(card.id, card.sha256) for card in clean.cards]} {config.model_dump_json()}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:6]
    out = runs_root() / "zoos" / f"{Path(zoo.name).name}-{config.attack}-{round(100 * config.rate):02d}-{key}"
    if not ((out / "zoo.json").is_file() and module.truth_file(out).is_file()):
        out.parent.mkdir(parents=True, exist_ok=True)
        source = None if config.attack == "fake" else open_zoo(module.OTHER_DOMAIN)
        module.pollute_zoo(clean, out, config, source)
    return out
