"""Some runs side by side: curves over each other, tests at the end, what differs, and images under one slider."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dfml.runs.lab.differing import differences_between
from dfml.runs.lab.results import by_protocol, settings_of
from dfml.runs.lab.run_report import unique_titles
from dfml.ui.charts.thinning import Curve
from dfml.ui.compare.exports import export_buttons
from dfml.ui.compare.linked import linked_choices
from dfml.ui.compare.picture_pair import picture_pair, tags_of, way_of
from dfml.ui.compare.results_view import PAIRED, difference_bars, result_bars, results_of
from dfml.ui.components.line_chart import line_chart, smoothed
from dfml.ui.runs.run_rows import RunRow, finite
from dfml.ui.widgets.forms import lasting
from dfml.ui.widgets.metrics import metric
from dfml.ui.widgets.texts import empty_state, one_line_errors, plain

MOST = 6
"""Runs side by side: so many colours stay apart for every kind of colour vision."""
FIRST = ("val/accuracy", "train/accuracy", "train/loss", "tasks/diversity", "inversion/ce")
LONGEST = 24
"""Characters of an option's value in the table; of a commit that is enough to tell it."""
AT_FIRST = ("purer", "teapot", "random")
"""Recorded runs that are shown where there are no own ones."""


def side_by_side(own: Sequence[RunRow], recorded: Sequence[RunRow]) -> None:
    """Let the reader choose runs, and draw them."""
    rows = _chosen(own, recorded)
    if not rows:
        text = "Choose runs above: of two methods, two seeds, or two inverters."
        empty_state("Nothing chosen", text, icon=":material/compare:")
        return
    titles = unique_titles([row.run for row in rows])
    names = {row.name: titles[row.run.path] for row in rows}
    _curves(rows, names)
    _tests(rows)
    _images(rows, names)
    _options(rows, names)
    export_buttons(rows, key="together")


def _chosen(own: Sequence[RunRow], recorded: Sequence[RunRow]) -> list[RunRow]:
    chosen: list[RunRow] = []
    shown = [row for row in own if row.spec]
    trained = [row.name for row in shown if row.kind == "train" and row.state == "finished"]
    start = {"runs": (trained or [row.name for row in shown])[:3]}
    names = [row.name for row in recorded]
    start["recorded"] = [] if shown else [name for name in AT_FIRST if name in names] or names[:3]
    for key, label, rows in (("runs", "Your runs", shown), ("recorded", "Recorded runs", recorded)):
        by_name = {row.name: row for row in rows if row.spec}
        shown_as = unique_titles([row.run for row in by_name.values()])
        titles = {name: shown_as[row.run.path] for name, row in by_name.items()}
        look: dict[str, Any] = {"max_selections": MOST, "placeholder": "none"}
        look["format_func"] = lambda name, titles=titles: titles.get(name, name)
        if not by_name:
            continue
        picked = linked_choices(label, list(by_name), key=key, default=start[key], **look)
        chosen += [by_name[name] for name in picked if name in by_name]
    if len(chosen) > MOST:
        st.caption(f"The first {MOST} of them are shown.")
    return chosen[:MOST]


def _curves(rows: Sequence[RunRow], known_as: Mapping[str, str]) -> None:
    loaded: dict[str, dict[str, Curve]] = {}
    for row in rows:
        with one_line_errors():
            loaded[known_as[row.name]] = finite(row.run.scalars())
    found = {name for scalars in loaded.values() for name, (steps, _) in scalars.items() if len(steps) > 1}
    rest = sorted(name for name in found if name not in FIRST and not name.endswith("ci95"))
    names = [*(name for name in FIRST if name in found), *rest]
    st.header("Curves", anchor=False)
    if not names:
        st.caption("These runs have no curves: methods that learn nothing, such as random, have only a result.")
        return
    titles = {name: metric(name).title for name in names}
    look: dict[str, Any] = {"format_func": lambda name: titles.get(name, name), "width": 380}
    name = lasting(st.selectbox, "Number", names, key="curve", default=names[0], **look)
    about = metric(name)
    lines = [line for run, scalars in loaded.items() if name in scalars for line in smoothed(run, *scalars[name])]
    without = [run for run, scalars in loaded.items() if name not in scalars]
    alt = f"{about.title} of {len(loaded) - len(without)} runs over their iterations"
    line_chart(lines, key="compare:curves", y=about.title, percent=about.percent, height=360, alt=alt)
    told = [plain(about.help)] if about.help else []
    told += [f"Without such a curve: {plain(', '.join(without))}."] if without else []
    if told:
        st.caption(" ".join(told))


def _tests(rows: Sequence[RunRow]) -> None:
    tests = results_of(rows)
    if not tests:
        return
    st.header("Accuracy on new classes, in the test at the end", anchor=False)
    for kind, ours in (("own", [one for one in tests if not one.recorded]), ("recorded", tests)):
        members = [one for one in ours if one.recorded == (kind == "recorded")]
        for place, (protocol, alike) in enumerate(by_protocol(members).items()):
            st.markdown(("Recorded runs: " if kind == "recorded" else "") + f"**{plain(protocol.text)}**")
            result_bars(settings_of(alike), protocol, key=f"together:{kind}:{place}")
    if len(tests) > 1:
        first = tests[0]
        name = f"{first.title}, seed {first.spec.seed}" + (", recorded" if first.recorded else "")
        st.markdown(f"Points above **{plain(name)}**, episode by episode", help=PAIRED)
        difference_bars(tests, first, key="together:above")


def _images(rows: Sequence[RunRow], titles: Mapping[str, str]) -> None:
    """Two runs' images; of recoveries those of one teacher, where both have it."""
    known = {row.name: (row, tags) for row in rows if (tags := tags_of(row.run))}
    if len(known) < 2:
        return
    st.header("Recovered images", anchor=False)
    names = list(known)
    if len(names) > 2:
        grid = st.grid(2, min_column_width=240)
        look: dict[str, Any] = {"format_func": lambda name: titles.get(name, name)}
        with grid.cell():
            first = lasting(st.selectbox, "Left", names, key="left", default=names[0], **look)
        others = [name for name in names if name != first]
        with grid.cell():
            second = lasting(st.selectbox, "Right", others, key="right", default=others[0], **look)
    else:
        first, second = names
    tags = [known[name][1] for name in (first, second)]
    common = [tag for tag in tags[0] if tag in tags[1]]
    chosen = [common[0] if common else own[0] for own in tags]
    ways = [way_of(known[name][0].run, tag, titles[name]) for name, tag in zip((first, second), chosen, strict=True)]
    shown = [way for way in ways if way is not None]
    if shown:
        picture_pair(shown, key="compare:images")
    else:
        st.caption("The stored images of these runs cannot be read.")


def _options(rows: Sequence[RunRow], known_as: Mapping[str, str]) -> None:
    st.header("What differs", anchor=False)
    specs = [row.spec for row in rows if row.spec]
    if len(specs) < 2:
        st.caption("Choose a second run to see in which options they differ.")
        return
    apart, names = differences_between(specs), [known_as[row.name] for row in rows]
    if not apart.values and not apart.partial:
        st.caption("Nothing: the runs have the same options, seed and versions.")
        return
    _option_table(apart.values, names, "compare:options")
    if apart.partial:
        with st.expander("Options that not all of them have"):
            _option_table(apart.partial, names, "compare:partial")


def _option_table(options: dict[str, list[Any]], names: Sequence[str], key: str) -> None:
    values = {"option": list(options)}
    values |= {str(place): [_shown(row[place]) for row in options.values()] for place in range(len(names))}
    looks = {str(place): st.column_config.TextColumn(name) for place, name in enumerate(names)}
    looks["option"] = st.column_config.TextColumn("Option", pinned=True)
    alt = f"{len(options)} options in which {len(names)} runs differ"
    st.dataframe(values, column_config=looks, hide_index=True, key=key, alt=alt)


def _shown(value: Any) -> str:  # noqa: ANN401 - an option's value
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
