"""All runs of a page in a table, and several runs side by side: their curves, and what they came to."""

from contextlib import suppress
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.data.pairing import difference, stored_rows
from dfml.runs.folder import RESULT
from dfml.ui.charts.curves import Curve, curves
from dfml.ui.runs.run_rows import NEXT, RunRow, finite
from dfml.ui.widgets.metrics import chip, metric
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, plain, show_chart, with_interval

MOST = 7
FIRST = ("val/accuracy", "train/accuracy", "train/loss", "tasks/diversity")
PAIRING = (
    "Paired: both runs were tested on the same episodes, so the interval is that of the differences by episode. "
    "Otherwise it is that of two results apart, which is wider."
)


def short_name(row: RunRow) -> str:
    """Return a name that tells two runs of one method apart."""
    return f"{row.title} · seed {row.spec.seed} · {row.name.rpartition('-')[2]}" if row.spec else row.name


def run_table(rows: list[RunRow]) -> None:
    """Draw every run with its state and the reason of a bad end; selecting one opens it."""
    if not rows:
        text = "Every run that you start is listed here, also after a restart."
        empty_state("No runs yet", text, icon=":material/list:")
        return
    key = "run_table"

    def open_selected() -> None:
        picked = st.session_state[key].selection.rows
        if picked:
            st.session_state[NEXT] = rows[picked[0]].name
            st.session_state["view"] = "Watch"

    text, number, bar = st.column_config.TextColumn, st.column_config.NumberColumn, st.column_config.ProgressColumn
    tested, why = metric("test/accuracy").help, "Why a run failed, crashed or cannot be read."
    accuracy = number("Accuracy", format="%.1f %%", width="small", help=tested)
    done = bar("Done", format="%.0f %%", min_value=0, max_value=100, width="small")
    columns = {
        "state": (text("State", width="small"), [f"{chip(row.state).sign} {chip(row.state).word}" for row in rows]),
        "run": (text("Run", width="medium"), [row.title for row in rows]),
        "seed": (number("Seed", width="small"), [row.spec.seed if row.spec else None for row in rows]),
        "accuracy": (accuracy, [test and 100 * test["accuracy"] for test in map(closing_test, rows)]),
        "done": (done, [None if row.share is None else 100 * row.share for row in rows]),
        "age": (text("Started", width="small"), [row.age for row in rows]),
        "reason": (text("Reason", width="large", help=why), [row.message for row in rows]),
    }
    look = {"on_select": open_selected, "selection_mode": "single-row", "alt": f"Table of {counted(len(rows), 'run')}"}
    _table(columns, key=key, **look)
    st.caption("Select a row to open the run.")


def closing_test(row: RunRow) -> dict[str, Any] | None:
    """Return the accuracies on new classes with which a finished training ended, fractions; None without any."""
    if row.state != "finished" or row.kind != "train":
        return None
    with suppress(BadInput):
        return stored_rows(row.run.path / RESULT)[0]
    return None


def compare_runs(rows: list[RunRow]) -> None:
    """Draw one number of several runs over their iterations, and how their tests at the end differ."""
    readable = {row.name: row for row in rows if row.spec}
    if not readable:
        text = "Start two runs, for example of two methods, and lay their curves over each other."
        empty_state("Nothing to compare yet", text, icon=":material/compare:")
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
            loaded[short_name(readable[name])] = finite(readable[name].run.scalars())
    found = {key for scalars in loaded.values() for key, curve in scalars.items() if len(curve[0]) > 1}
    names = sorted(name for name in found if name not in FIRST and not name.endswith("ci95"))
    names = [*(name for name in FIRST if name in found), *names]
    if names:
        _compared_curves(names, loaded)
    elif chosen:
        st.caption("The chosen runs have no curves: methods without training, such as random, have only a result.")
    _compared_tests([readable[name] for name in chosen])


def _compared_curves(names: list[str], loaded: dict[str, dict[str, Curve]]) -> None:
    what = st.selectbox(
        "Curve", names, format_func=lambda name: metric(name).title, key="compared_metric", persist_state="session"
    )
    series = {name: scalars[what] for name, scalars in loaded.items() if what in scalars}
    look = metric(what)
    figure = curves(series, y=look.title, percent=look.percent, height=380)
    figure.update_layout(showlegend=True)  # also of a single curve: whose it is, of the chosen runs
    show_chart(figure, key="chart:compare", alt=f"{look.title} of {len(series)} runs over their iterations")
    if look.help:
        st.caption(plain(look.help))


def _compared_tests(rows: list[RunRow]) -> None:
    """What the runs came to, also those without a curve, and by how much each lies above the first of them."""
    tests = {short_name(row): test for row in rows if (test := closing_test(row))}
    if not tests:
        return
    first, *_ = tests
    text = st.column_config.TextColumn
    apart = [None if name == first else difference(test, tests[first]) for name, test in tests.items()]
    accuracies = [with_interval(test["accuracy"], test.get("ci95")) for test in tests.values()]
    above = [d and with_interval(d.difference, d.difference_ci95, sign="+") for d in apart]
    about = f"{metric('test/accuracy').help} Per cent ± 95 %."
    st.markdown("**Accuracy on new classes, in the test at the end**")
    columns = {
        "run": (text("Run", width="medium"), list(tests)),
        "accuracy": (text("Accuracy", width="small", help=about), accuracies),
        "above": (text("Above first", width="small", help="Points above the first run, ± 95 %."), above),
        "pairing": (text("Episodes", width="medium", help=PAIRING), [d and d.pairing for d in apart]),
    }
    _table(columns, key="compared_tests", alt=f"Accuracies of {len(tests)} runs at their end")


def _table(columns: dict[str, tuple[Any, list[Any]]], **look: Any) -> None:  # noqa: ANN401 - as of st.dataframe
    """Draw columns, each with its config and its values."""
    values = {name: found for name, (_, found) in columns.items()}
    looks = {name: config for name, (config, _) in columns.items()}
    st.dataframe(values, column_config=looks, hide_index=True, placeholder="–", **look)
