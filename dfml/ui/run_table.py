"""All runs of a page in a table, and the curves of several runs in one chart."""

from __future__ import annotations

import streamlit as st

from dfml.ui.charts import Curve, curves
from dfml.ui.messages import empty_state, one_line_errors, plain
from dfml.ui.metrics import metric
from dfml.ui.run_chooser import NEXT
from dfml.ui.run_store import RunRow, open_run, plottable
from dfml.ui.theme import chip, palette

MOST = 7


def short_name(row: RunRow) -> str:
    """A name that tells two runs of one method apart."""
    return f"{row.title} · seed {row.spec.seed} · {row.name.rpartition('-')[2]}" if row.spec else row.name


def run_table(rows: list[RunRow]) -> None:
    """Every run with its state and the reason of a bad end; selecting one opens it."""
    if not rows:
        empty_state(
            "No runs yet", "Every run that you start is listed here, also after a restart.", icon=":material/list:"
        )
        return
    key = "run_table"

    def open_selected() -> None:
        picked = st.session_state[key].selection.rows
        if picked:
            st.session_state[NEXT] = rows[picked[0]].name
            st.session_state["view"] = "Watch"

    st.dataframe(
        {
            "state": [f"{chip(row.state).sign} {chip(row.state).word}" for row in rows],
            "run": [row.title for row in rows],
            "seed": [row.spec.seed if row.spec else None for row in rows],
            "accuracy": [_tested(row) for row in rows],
            "done": [row.step / row.total * 100 if row.total else None for row in rows],
            "age": [row.age for row in rows],
            "reason": [row.message for row in rows],
        },
        key=key,
        on_select=open_selected,
        selection_mode="single-row",
        hide_index=True,
        placeholder="–",
        column_config={
            "state": st.column_config.TextColumn("State", width="small"),
            "run": st.column_config.TextColumn("Run", width="medium"),
            "seed": st.column_config.NumberColumn("Seed", width="small"),
            "accuracy": st.column_config.NumberColumn(
                "Accuracy", format="%.1f %%", width="small", help=metric("test/accuracy").help
            ),
            "done": st.column_config.ProgressColumn(
                "Done", format="%.0f %%", min_value=0, max_value=100, width="small"
            ),
            "age": st.column_config.TextColumn("Started", width="small"),
            "reason": st.column_config.TextColumn(
                "Reason", width="large", help="Why a run failed, crashed or cannot be read."
            ),
        },
        alt=f"Table of {len(rows)} runs",
    )
    st.caption("Select a row to open the run.")


def _tested(row: RunRow) -> float | None:
    """The accuracy on new classes of a finished training, in per cent."""
    if row.state != "finished" or row.kind != "train":
        return None
    accuracy = (open_run(row).result() or {}).get("test_accuracy")
    return 100 * accuracy if isinstance(accuracy, int | float) else None


def compare_runs(rows: list[RunRow]) -> None:
    """One number of several runs over their iterations."""
    readable = {row.name: row for row in rows if row.spec}
    if not readable:
        empty_state(
            "Nothing to compare yet",
            "Start two runs, for example of two methods, and lay their curves over each other.",
            icon=":material/compare:",
        )
        return
    chosen = st.multiselect(
        "Runs",
        list(readable),
        default=list(readable)[:3],
        format_func=lambda name: short_name(readable[name]) if name in readable else name,
        key="compared",
        persist_state="session",
        max_selections=MOST,
    )
    loaded: dict[str, dict[str, Curve]] = {}
    for name in chosen:
        with one_line_errors():
            loaded[name] = plottable(open_run(readable[name]))
    names = sorted(
        {key for scalars in loaded.values() for key, curve in scalars.items() if len(curve[0]) > 1}, key=_order
    )
    names = [name for name in names if not name.endswith("ci95")]
    if not names:
        st.caption("The chosen runs have no curves: methods without training, such as random, report only a result.")
        return
    what = st.selectbox(
        "Curve", names, format_func=lambda name: metric(name).title, key="compared_metric", persist_state="session"
    )
    series = {short_name(readable[name]): scalars[what] for name, scalars in loaded.items() if what in scalars}
    look = metric(what)
    st.plotly_chart(
        curves(series, y=look.title, percent=look.percent, palette=palette(), height=380),
        key="chart:compare",
        alt=f"{look.title} of {len(series)} runs over their iterations",
    )
    if look.help:
        st.caption(plain(look.help))


def _order(name: str) -> tuple[int, str]:
    first = ("val/accuracy", "train/accuracy", "train/loss", "tasks/diversity")
    return (first.index(name) if name in first else len(first), name)
