"""Parts of the Compare page: axes of bars, colours, the sheet of images, choices in the link."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dfml.core.events import Images
from dfml.runs.folder import RunFolder
from dfml.runs.lab import drawn
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec
from dfml.ui.charts.figures import DARK, LIGHT
from dfml.ui.compare.accuracy_bars import Bar, bars_data
from dfml.ui.compare.picture_pair import MOST_FRAMES, tags_of, way_of
from dfml.ui.components.line_chart import Level


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([(0.57, 0.02), (0.4, None)], 0.0, 0.6), ([(-0.09, 0.02), (0.03, 0.01)], -0.15, 0.05), ([(0.0, 0.0)], 0.0, 0.001)],
)
def test_the_axis_of_bars_holds_zero_and_every_end(values, low, high):
    data = bars_data([Bar("x", value, half) for value, half in values], alt="")
    assert (data["low"], data["high"]) == (pytest.approx(low), pytest.approx(high))
    assert (data["high"] - data["low"]) / data["step"] <= 7


def test_what_has_no_value_or_is_not_finite_takes_no_room():
    data = bars_data([Bar("x", None), Bar("y", 0.1, dots=[0.2])], alt="", levels=[Level("guessing", 0.25)])
    assert data["bars"][0]["value"] is None and data["high"] == pytest.approx(0.25)


def test_levels_that_would_be_written_alike_are_one_line_with_all_their_names():
    levels = [Level("guessing", 0.2), Level("random", 0.2001), Level("random", 0.1999), Level("best", 0.21)]
    first, second = bars_data([Bar("x", 0.5)], alt="", levels=levels)["levels"]
    assert (first["name"].count("random"), first["value"], second["name"]) == (1, 0.2, "best")
    assert "guessing" in first["name"]


def test_the_report_has_the_colours_of_the_app():
    assert (drawn.LIGHT, drawn.DARK) == (LIGHT.series, DARK.series)


def a_run(root, steps, side=8, tag="pictures"):
    run = RunFolder.create(RunSpec(kind="train", method="purer"), root=root)
    with Recorder(run.path, {"state": "running"}) as recorder:
        for step in steps:
            recorder.record(Images(step, tag, np.full((4, 3, side, side), step / 255, np.float32), [0, 0, 1, 1]))
        recorder.set_status(state="finished")
    return run


def test_a_sheet_has_a_row_for_each_moment_from_the_first_to_the_last(tmp_path):
    run = a_run(tmp_path, (1, 60, 250))
    assert tags_of(run) == ["pictures"]
    way = way_of(run, "pictures", "name")
    assert way.steps == [1, 60, 250] and way.count == 4
    sheet = Image.open(io.BytesIO(base64.b64decode(way.sheet.partition(",")[2])))
    assert sheet.size == (4 * way.side, 3 * way.side)
    found = [sheet.getpixel((way.side // 2, row * way.side + way.side // 2))[0] for row in range(3)]
    assert found == pytest.approx([1, 60, 250], abs=4)


def test_of_many_moments_as_many_as_fit_are_kept(tmp_path):
    run = a_run(tmp_path, range(1, 33))
    steps = way_of(run, "pictures", "name").steps
    assert len(steps) <= MOST_FRAMES and (steps[0], steps[-1]) == (run.images()[0].step, run.images()[-1].step)
    assert way_of(run, "others", "name") is None


def page():
    import streamlit as st

    from dfml.ui.compare.linked import choose, linked_choices

    if st.session_state.pop("elsewhere", False):
        st.query_params.clear()
    elif st.session_state.get("order"):
        choose(many=st.session_state.pop("order"))
    names = {"a": "Alpha", "b": "Beta", "c": "Gamma"}
    chosen = linked_choices("Many", list(names), key="many", default=["a", "b"], format_func=names.get)
    st.markdown(str(chosen))


def opened(**link):
    app = AppTest.from_function(page, default_timeout=30)
    for key, value in link.items():
        app.query_params[key] = value
    return app.run()


def test_choices_stand_in_the_link_by_their_options_and_come_from_it():
    app = opened(many=["b", "unknown"])
    assert app.markdown[0].value == "['b']"
    app.multiselect[0].set_value(["c", "a"]).run()
    assert app.query_params["many"] == ["c", "a"]
    app.multiselect[0].set_value([]).run()
    assert app.markdown[0].value == "[]" and app.query_params["many"] in ("", [""])
    app.query_params["many"] = ["a"]  # somebody went Back, or typed
    assert app.run().markdown[0].value == "['a']"


def test_a_link_without_choices_means_the_first_ones_and_unknown_ones_are_left_out():
    assert opened().markdown[0].value == "['a', 'b']"
    assert opened(many="y").markdown[0].value == "[]"


def test_choices_come_back_with_the_page_and_may_be_set_by_it():
    app = opened(many=["c"])
    app.session_state["elsewhere"] = True
    assert app.run().markdown[0].value == "['c']" and app.query_params["many"] in ("c", ["c"])
    app.session_state["order"] = ["b"]
    assert app.run().markdown[0].value == "['b']"
