"""Names are words on every axis, whatever they look like: none is read as a number, none lies upon another."""

import importlib
import inspect
import json
import pkgutil

import plotly.graph_objects as go
import pytest

import dfml.ui
from dfml.bench.drawings import chart, similarity_drawing
from dfml.core.events import ZooMap
from dfml.core.names import natural
from dfml.ui.charts.bars import (
    accuracies_by_architecture,
    architecture_bars,
    class_coverage,
    similarity_matrix,
    teacher_policy_bars,
)

HOSTILE = {
    "numbers": ["0", "10", "7"],
    "equal as numbers": ["1", "01", "1.0", "1e0", "+1", " 1"],
    "dates": ["2024-01-02", "2024-01-03", "2024-01"],
    "words of programs": ["nan", "true", "null", "inf", "__proto__", "constructor", "toString"],
    "exponents": ["1e3", "1000", "0x10", "1_000"],
    "alike": ["crane", "crane", "crane (2)", "crane"],
    "nothing": ["", " ", "\u200b", "a\u0000", "a"],
    "long": ["x" * 300, "x" * 300],
}


def matrix(names):
    count = len(names)
    return similarity_matrix(names, [[0.5] * count] * count, list(range(count)))


def spread(names):
    return [(i + 1) / sum(range(1, len(names) + 1)) for i in range(len(names))]


WITH_NAMES = {
    "class_coverage": lambda names: class_coverage([(name, 3 + i) for i, name in enumerate(names)]),
    "architecture_bars": lambda names: architecture_bars([(name, 3) for name in names]),
    "accuracies_by_architecture": lambda names: accuracies_by_architecture([(name, [0.5, 0.6]) for name in names]),
    "teacher_policy_bars": lambda names: teacher_policy_bars(dict(zip(names, spread(names), strict=True))),
    "similarity_matrix": matrix,
}
OF_NUMBERS = {"accuracy_histogram", "teacher_map"}
HELPERS = {"with_plain_names", "blank"}
"""They change figures and make none, or one without traces."""


def axes_of(figure):
    """Each axis of the figure's JSON, with its letter."""
    layout = json.loads(figure.to_json())["layout"]
    return [(letter, layout[f"{letter}axis"]) for letter in "xy"]


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("chart_name", WITH_NAMES)
def test_every_axis_of_names_keeps_each_name_apart(chart_name, what):
    names = HOSTILE[what]
    if chart_name == "teacher_policy_bars":
        names = list(dict.fromkeys(names))  # ids are folders' names, no two alike
    figure = WITH_NAMES[chart_name](names)
    drawn = json.loads(figure.to_json())["data"]
    named = 0
    for letter, axis in axes_of(figure):
        values = [trace[letter] for trace in drawn if isinstance(trace.get(letter), list)]
        assert not any(isinstance(value, str) for trace in values for value in trace), "rows are numbers"
        if "ticktext" in axis:
            named += 1
            assert axis["type"] == "linear", "said, not guessed by Plotly"
            assert all(trace == axis["tickvals"] for trace in values) or chart_name == "similarity_matrix"
            assert len(set(axis["tickvals"])) == len(axis["tickvals"]) == len(names)
            shown = sorted(text.removesuffix(" (true)") for text in axis["ticktext"])
            for text, name in zip(shown, sorted(names), strict=True):
                cut = chart_name == "similarity_matrix" and len(name) > len(text) and text.endswith("…")
                assert text == name or cut and name.startswith(text[:-1])
    assert named == (2 if chart_name == "similarity_matrix" else 1)


def test_every_chart_is_known_here():
    found = set()
    for module in pkgutil.walk_packages(dfml.ui.__path__, "dfml.ui."):
        for name, function in vars(importlib.import_module(module.name)).items():
            returned = getattr(function, "__annotations__", {}).get("return")
            if inspect.isfunction(function) and returned in (go.Figure, "go.Figure") and not name.startswith("_"):
                found.add(name)
    assert found - HELPERS == {name.split()[0] for name in WITH_NAMES} | OF_NUMBERS


def test_the_svg_charts_give_every_name_a_row_of_its_own():
    names = HOSTILE["equal as numbers"]
    column = {"bn": "transductive", "adapt": "steps", "accuracy": 0.5, "ci95": 0.01}
    svg = chart("t", [{"method": name, "shots": 1, "columns": [column], "data": "d"} for name in names])
    rows = {line.split('y="')[1].split('"')[0] for line in svg.splitlines() if 'text-anchor="end"' in line}
    assert len(rows) == len(names)
    count = len(names)
    found = ZooMap(0, names, [[0.5] * count] * count, [0] * count, [[i, 0] for i in range(count)], "")
    assert similarity_drawing("z", found).count("<circle") == count


def test_numbers_in_names_sort_as_people_count():
    assert sorted(["10", "7", "0", "page 10", "page 9", "01", "1"], key=natural) == [
        "0", "01", "1", "7", "10", "page 9", "page 10",
    ]  # fmt: skip
    assert natural("²3") and natural("9" * 5000)
