"""What the browser's half of the components is told: JSON that holds, thinned curves, right places of pictures."""

import base64
import io
import json
import math

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dfml.ui.charts.thinning import MAX_POINTS, chosen_points, running_mean
from dfml.ui.components import line_chart as lines
from dfml.ui.components.line_chart import Level, Line, Mark, chart_data, smoothed
from dfml.ui.components.mounting import HERE, PARTS, lean
from dfml.ui.components.point_map import Point, map_data
from dfml.ui.components.replay import Chart, Frame, Timeline, timeline_data
from dfml.ui.components.sprites import packed, sprite
from dfml.ui.components.tile_grid import grid_data


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


@pytest.mark.parametrize("window", [1, 2, 3, 7, 50])
def test_the_running_mean_is_the_mean_of_the_points_around(window):
    values = [float(i * i % 17) for i in range(40)]
    found = running_mean(values, window)
    left, right = (window - 1) // 2, window // 2
    for i, mean in enumerate(found):
        around = values[max(0, i - left) : i + right + 1]
        assert mean == pytest.approx(sum(around) / len(around))
    assert running_mean([], window) == []


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


def test_tiles_of_a_sheet_stand_where_their_pictures_do():
    pictures = [Image.new("RGB", (8, 8), (10 * place, 0, 0)) for place in range(7)]
    sheet = sprite(pictures, 8)
    assert (sheet.columns, sheet.rows, sheet.count) == (3, 3, 7)
    kind, packed = sheet.url.split(",", 1)
    assert kind == "data:image/webp;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB")
    assert opened.size == (24, 24)
    for place in range(7):
        assert opened.getpixel((place % 3 * 8 + 4, place // 3 * 8 + 4)) == (10 * place, 0, 0)


def test_arrays_files_and_images_give_the_same_sheet(tmp_path):
    channels_first = np.zeros((3, 6, 6), dtype=np.float32)
    channels_first[0, :3] = 1.0
    bytes_last = (channels_first.transpose(1, 2, 0) * 255).astype(np.uint8)
    Image.fromarray(bytes_last).save(tmp_path / "a.png")
    sheets = [
        sprite([one], 6).url for one in (channels_first, bytes_last, Image.fromarray(bytes_last), tmp_path / "a.png")
    ]
    assert len(set(sheets)) == 1


def test_a_missing_file_is_grey_and_no_picture_is_no_sheet(tmp_path):
    assert sprite([], 32).url == ""
    _, packed = sprite([tmp_path / "gone.png"], 8).url.split(",", 1)
    assert Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB").getpixel((4, 4)) == (128, 128, 128)


def test_pictures_that_a_run_keeps_enlarged_are_packed_at_their_own_size():
    small = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    found = packed([small.resize((24, 24), Image.Resampling.NEAREST)] * 3, 64)
    assert found.side == 8 and found.sheet.url == sprite([small] * 3, 8).url
    assert packed(found, 64) is found


def test_other_pictures_have_another_id_and_equal_ones_the_same():
    one, other = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    told = [grid_data([picture], alt="")["id"] for picture in (one, one.copy(), other)]
    assert told[0] == told[1] != told[2]


def test_a_tile_says_what_it_is_and_whether_it_is_right():
    picture = Image.new("RGB", (8, 8))
    tiles = strict(grid_data([picture] * 3, alt="", captions=["otter"], signs=["wrong", "right"]))["tiles"]
    assert [tile["label"] for tile in tiles] == ["otter, wrong", "picture 2, right", "picture 3"]


def tiles_page():
    import streamlit as st
    from PIL import Image

    from dfml.ui.components.tile_grid import tile_grid

    pictures = [Image.new("RGB", (8, 8), (place, 0, 0)) for place in range(st.session_state.get("count", 5))]
    st.text(str(tile_grid(pictures, key="tiles", alt="five", picked=st.session_state.get("asked"))))


def test_what_the_page_asks_for_anew_is_picked():
    app = AppTest.from_function(tiles_page, default_timeout=30).run()
    found = []
    for asked in (None, 3, 3, None, 9):
        app.session_state["asked"] = asked
        app.run()
        found.append(app.text[0].value)
    assert not app.exception and found == ["None", "3", "3", "None", "None"]


def test_points_keep_their_order_and_know_their_pictures():
    points = [Point(0.5, float("nan"), "a", picture=0), Point(1, 2, "b", group=3, mark="ring", step=7)]
    data = strict(map_data(points, alt="", pictures=[Image.new("RGB", (8, 8))]))
    assert [point["text"] for point in data["points"]] == ["a", "b"]
    assert data["points"][0]["y"] == 0 and data["points"][1]["picture"] is None
    with pytest.raises(ValueError, match="picture 1 of 1"):
        map_data([Point(0, 0, "", picture=1)], alt="", pictures=[Image.new("RGB", (8, 8))])


def test_frames_of_a_replay_count_through_one_sheet():
    frames = [Frame(0, [Image.new("RGB", (8, 8))] * 2), Frame(5, [Image.new("RGB", (8, 8))] * 4)]
    chart = Chart("Loss", [Line("loss", [0, 5, 9], [3, 2, 1])])
    data = strict(timeline_data(Timeline([0, 5, 9], [chart], frames, [Point(0, 0, "a", step=5)])))
    assert [(frame["first"], frame["count"]) for frame in data["frames"]] == [(0, 2), (2, 4)]
    assert data["sheet"]["columns"] * data["sheet"]["rows"] >= 6 and data["most"] == 4
    assert data["charts"][0]["until"] == 9 and data["charts"][0]["y"] == "loss"


@pytest.mark.parametrize("steps", [[], [1, 1], [2, 1]])
def test_a_replay_needs_steps_that_ascend(steps):
    with pytest.raises(ValueError, match="ascending"):
        timeline_data(Timeline(steps))
