"""What the browser's half of the components is told: JSON that holds, thinned curves, right places of pictures."""

import json
import math

import pytest
from streamlit.testing.v1 import AppTest

from dfml.ui.charts.thinning import MAX_POINTS, chosen_points, running_mean
from dfml.ui.components import line_chart as lines
from dfml.ui.components.line_chart import Level, Line, Mark, chart_data, smoothed
from dfml.ui.components.mounting import HERE, PARTS, lean


def strict(data):
    return json.loads(json.dumps(data, allow_nan=False))


def test_numbers_that_json_lacks_leave_gaps():
    line = Line("a", [0, 1, 2], [0.5, float("nan"), None], band=[0.1, math.inf, None])
    levels = [Level("guessing", 0.2), Level("unknown", float("nan"))]
    data = strict(chart_data([line], x="iteration", y="accuracy", alt="", levels=levels, marks=[Mark(1, "harder")]))
    assert data["lines"][0]["values"] == [0.5, None, None]
    assert data["lines"][0]["band"] == [0.1, None, None]
    assert [level["name"] for level in data["levels"]] == ["guessing"]
    assert data["whole"] is True


def test_empty_lines_are_left_out():
    assert chart_data([Line("a", [], [])], x="", y="", alt="")["lines"] == []


def test_long_curves_keep_their_ends_and_their_peak():
    steps, values = list(range(5000)), [0.0] * 5000
    values[1234] = 9.0
    data = chart_data([Line("a", steps, values)], x="", y="", alt="")["lines"][0]
    assert len(data["steps"]) <= MAX_POINTS
    assert (data["steps"][0], data["steps"][-1]) == (0, 4999)
    assert data["values"][data["steps"].index(1234)] == 9.0


def test_short_curves_stay_whole():
    assert chosen_points([3.0, 1.0, 2.0]) == [0, 1, 2]


def test_the_running_mean_keeps_a_constant_and_the_number_of_points():
    assert running_mean([2.0] * 9, 4) == [2.0] * 9
    assert running_mean([0.0, 3.0, 6.0], 3) == [1.5, 3.0, 4.5]


def test_only_dense_curves_are_drawn_twice():
    assert [line.faint for line in smoothed("a", range(9), range(9))] == [False]
    assert [line.faint for line in smoothed("a", range(900), range(900))] == [True, False]


@pytest.mark.parametrize("name", PARTS)
def test_scripts_keep_handlers_in_one_place_and_text_as_text(name):
    for part in (*PARTS[name], name):
        text = (HERE / f"{part}.js").read_text(encoding="utf-8")
        # A listener would be added again at each change of the data; markup could come from a class name.
        assert "addEventListener" not in text and "innerHTML" not in text
        assert text.count("`") % 2 == 0 and "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert all(line.count("`") % 2 == 0 for line in text.splitlines()), "indentation is left out"


def test_lean_text_has_no_comments():
    assert lean("// why\n  const a = 1;\n\n/* look */\n") == "const a = 1;"


def test_a_chart_is_mounted():
    def script():
        from dfml.ui.components.line_chart import Line, line_chart

        line_chart([Line("a", [1, 2], [0.1, 0.2])], key="chart", y="accuracy", alt="two points")

    app = AppTest.from_function(script, default_timeout=30).run()
    assert not app.exception
    assert lines.DENSE > 40
