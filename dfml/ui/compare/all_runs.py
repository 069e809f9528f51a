"""All runs in tables: open, compare, star, name, note, take away and delete them."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dfml.runs.lab.annotating import annotate, delete_runs
from dfml.runs.lab.results import closing_test
from dfml.runs.lab.run_notes import LONGEST_NAME, LONGEST_TEXT, read_notes
from dfml.runs.status import ACTIVE
from dfml.ui.compare.exports import export_buttons
from dfml.ui.compare.linked import choose
from dfml.ui.compare.results_view import recorded_heading
from dfml.ui.compare.together_view import MOST
from dfml.ui.runs.run_rows import PAGE_OF, RunRow
from dfml.ui.widgets.metrics import chip, metric
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, plain, table_height

MOST_NAMED = 8


def all_runs_view(own: Sequence[RunRow], recorded: Sequence[RunRow]) -> None:
    """Draw own runs with all that can be done with them, then recorded ones, which stay as they are."""
    st.header("Your runs", anchor=False)
    if own:
        chosen = _table(own, "own")
        _actions(chosen)
        export_buttons(chosen or own, key="own")
    else:
        text = "Every run that you start is listed here, also after a restart."
        empty_state("No runs yet", text, icon=":material/list:")
    if recorded:
        recorded_heading(recorded[0].run)
        chosen = _table(recorded, "recorded")
        with st.container(horizontal=True, gap="small"):
            _open_and_compare(chosen, "recorded")
        export_buttons(chosen or recorded, key="recorded")


def _table(rows: Sequence[RunRow], key: str) -> list[RunRow]:
    """Draw the runs, and return those whose rows are selected."""
    notes = [read_notes(row.run.path) for row in rows]
    tests = [closing_test(row.run) if row.kind == "train" and row.state == "finished" else None for row in rows]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    done = st.column_config.ProgressColumn("Done", format="%.0f %%", min_value=0, max_value=100, width="small")
    accuracy = number("Accuracy", format="%.1f %%", width="small", help=metric("test/accuracy").help)
    half = number("± 95 %", format="%.1f", width="small", help=metric("test/ci95").help)
    why = "Why a run failed, crashed or cannot be read."
    columns: dict[str, tuple[Any, list[Any]]] = {
        "star": (text("★", width=40), ["★" if one.star else "" for one in notes]),
        "run": (text("Run", width="medium"), [row.title for row in rows]),
        "state": (text("State", width="small"), [f"{chip(row.state).sign} {chip(row.state).word}" for row in rows]),
        "accuracy": (accuracy, [test and 100 * test["accuracy"] for test in tests]),
        "half": (half, [test and test.get("ci95") and 100 * test["ci95"] for test in tests]),
        "seed": (number("Seed", width="small"), [row.spec.seed if row.spec else None for row in rows]),
        "done": (done, [None if row.share is None else 100 * row.share for row in rows]),
        "age": (text("Started", width="small"), [row.age for row in rows]),
        "note": (text("Note", width="medium"), [one.text or None for one in notes]),
        "reason": (text("Reason", width="medium", help=why), [row.message or None for row in rows]),
    }
    if key == "recorded":
        for name in ("star", "done", "age", "note", "reason"):
            columns.pop(name)
    # Selected are places in the table: where other runs stand in it, it is another table with nothing selected.
    place = hashlib.sha256("\n".join(row.name for row in rows).encode()).hexdigest()[:12]
    event = st.dataframe(
        {name: values for name, (_, values) in columns.items()},
        column_config={name: look for name, (look, _) in columns.items()},
        hide_index=True,
        height=table_height(len(rows), 12),
        placeholder="–",
        key=f"table:{key}:{place}",
        on_select="rerun",
        selection_mode="multi-row",
        alt=f"Table of {counted(len(rows), 'run')}",
    )
    return [rows[place] for place in event.selection.rows if place < len(rows)]


def _actions(chosen: Sequence[RunRow]) -> None:
    """Draw what can be done with the selected runs; nothing is shown that would do nothing."""
    if not chosen:
        st.caption("Select runs by the boxes at the left of the table to open, compare, name or delete them.")
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.markdown(f"**{counted(len(chosen), 'run')} selected**", width="content")
        _open_and_compare(chosen, "own")
        starred = all(read_notes(row.run.path).star for row in chosen)
        label, icon = ("Take the star away", ":material/star_outline:") if starred else ("Star", ":material/star:")
        if st.button(label, icon=icon, key="runs:star"):
            _do(lambda row: annotate(row.run, star=not starred), chosen)
        if len(chosen) == 1:
            _name_and_note(chosen[0])
        _delete(chosen)


def _open_and_compare(chosen: Sequence[RunRow], key: str) -> None:
    readable = [row for row in chosen if row.spec]
    if len(chosen) == 1 and (page := PAGE_OF.get(chosen[0].kind)):
        st.page_link(page.file, label="Open", icon=page.icon, query_params={"run": chosen[0].name}, help=page.title)
    if not readable:
        return

    def together() -> None:
        names = [row.name for row in readable[:MOST]]
        runs, recorded = (names, []) if key == "own" else ([], names)
        choose(show=["together"], runs=runs, recorded=recorded)

    st.button("Side by side", icon=":material/compare:", key=f"together:{key}", on_click=together)


def _name_and_note(row: RunRow) -> None:
    notes = read_notes(row.run.path)
    # Another key for other notes: the box closes once they are saved, and never shows those of another run.
    own = f"runs:note:{row.name}:{hashlib.sha256(notes.model_dump_json().encode()).hexdigest()[:8]}"
    with st.popover("Name and note", icon=":material/edit_note:", key=own), st.form(f"{own}:form", border=False):
        help_text = "Empty: the name that it was started under."
        first = row.spec.title if row.spec else row.name
        label = st.text_input(
            "Name", notes.label, max_chars=LONGEST_NAME, placeholder=first, help=help_text, key=f"{own}:label"
        )
        text = st.text_area("Note", notes.text, max_chars=LONGEST_TEXT, height=140, key=f"{own}:text")
        if st.form_submit_button("Save", icon=":material/save:", type="primary"):
            _do(lambda one: annotate(one.run, label=label, text=text), [row])


def _delete(chosen: Sequence[RunRow]) -> None:
    """Ask once, by name."""
    going = [row for row in chosen if row.state in ACTIVE]
    ended = [row for row in chosen if row.state not in ACTIVE]
    if not ended:
        st.caption("Runs that are going on are stopped on their page before they can be deleted.")
        return
    with st.popover(f"Delete {len(ended)}", icon=":material/delete:", key="runs:delete"):
        named = ", ".join(f"{row.title}" for row in ended[:MOST_NAMED])
        more = f" and {len(ended) - MOST_NAMED} more" if len(ended) > MOST_NAMED else ""
        st.markdown(f"Delete {counted(len(ended), 'run')} with models, images and curves? {plain(named)}{more}.")
        if going:
            st.caption(f"{counted(len(going), 'selected run')} still at work will stay.")
        with st.container(key="danger-runs"):  # what cannot be undone is red: see frame.css
            pressed = st.button("Delete for good", icon=":material/delete_forever:", key="runs:delete_yes")
        if pressed:
            with one_line_errors():
                gone, kept = delete_runs(row.run for row in ended)
                for line in kept:
                    st.error(plain(line))
                if gone and not kept:
                    st.rerun()


def _do(act: Callable[[RunRow], Any], rows: Sequence[RunRow]) -> None:
    """Do something with each run and draw the page anew; the first that cannot be done is said."""
    with one_line_errors():
        for row in rows:
            act(row)
        st.rerun()
