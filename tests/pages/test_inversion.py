"""The page of inversion: one recovery, comparisons, the gallery."""

from pathlib import Path

import numpy as np
import pytest

from dfml.core.paths import write_json
from dfml.runs import recorded
from dfml.runs.folder import StoredImages
from dfml.runs.recorded.copying import record_run
from dfml.ui.inversion.training_memory import class_names
from tests.pages.opening import components, open_page, texts


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """The folder of recorded runs, empty at first."""
    folder = tmp_path / "shipped" / "recorded"
    monkeypatch.setattr(recorded, "RECORDED", folder)
    return folder


def answers(run, labels=(0, 1), count=6, teacher="000"):
    """What teacher and judge say of a written recovery: the judge takes the third of each class for the other."""
    asked = [label for label in labels for _ in range(count)]
    judge = [1 - label if i % count == 2 else label for i, label in enumerate(asked)]
    sure = np.linspace(0.5, 0.99, len(asked)).round(4).tolist()
    each = {"teacher": {"first": asked, "asked": sure, "sure": sure}}
    own = [0.1 if a != b else s for a, b, s in zip(asked, judge, sure[::-1], strict=True)]
    each["judge"] = {"first": judge, "asked": own, "sure": [max(0.6, value) for value in own]}
    write_json(run.path / "recovered" / teacher / "answers.json", each)
    return run


def grid(app, place=0):
    """The first grid of tiles that can be picked, or a later one."""
    return [data for data in components(app, "tile_grid") if data["pick"]][place]


def quality(app):
    return next(frame.value for frame in app.dataframe if "Judge on real" in frame.value)


def test_a_recovery_shows_its_measures_and_a_row_a_class(runs, recovery):
    recovery(runs, classes=("apple", "sweet_pepper"))
    app = open_page("inversion")
    table = quality(app)
    assert list(table["Inverter"]) == ["pixels"]
    assert list(table["Teacher"]) == ["98.0 %"]
    assert list(table["Judge"]) == ["–"]
    shown = texts(app)
    assert "no judge for this teacher" in shown
    assert [tile["text"] for tile in grid(app)["tiles"]] == ["apple"] * 6 + ["sweet pepper"] * 6
    assert grid(app)["columns"] == 6
    assert "No real images given" in shown


def test_a_comparison_stands_side_by_side_under_one_slider(runs, recovery):
    first = recovery(runs, group="comparison-1")
    recovery(runs, method="generator", group="comparison-1")
    recovery(runs, method="meta-generator", group="comparison-1", state="stopped")
    recovery(runs, teacher="001")
    app = open_page("inversion", run=first.name)
    assert app.selectbox(key="inversion_run").value == "comparison-1"
    assert list(quality(app)["Inverter"]) == ["pixels", "generator", "meta-generator"]
    assert list(quality(app)["Time"]) == ["11 s", "11 s", "–"]
    assert "**pixels** · last step, 30 of 30" in texts(app)
    assert [button.label for button in app.button if button.label == "Resume"] == ["Resume"]
    app.slider(key="way:comparison-1").set_value(0).run()
    assert not app.exception
    assert texts(app).count("step 1 of 30") == 3
    chart = next(chart for chart in components(app, "line_chart") if "share of the way" in chart["x"])
    assert [line["name"] for line in chart["lines"]] == ["pixels", "generator", "meta-generator"]


def test_a_comparison_with_a_damaged_member_shows_the_others(runs, recovery):
    recovery(runs, group="comparison-1")
    broken = recovery(runs, method="generator", group="comparison-1")
    (broken.path / "recovered" / "000" / "report.json").write_text("{", encoding="utf-8")
    app = open_page("inversion", run="comparison-1")
    assert list(quality(app)["Time"]) == ["11 s", "–"]


def test_two_inverters_start_as_one_comparison(runs, monkeypatch):
    from dfml.runs import launcher
    from dfml.runs.folder import RunFolder

    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    app = open_page("inversion", inverter2="generator")
    app.text_input(key="invert:data").set_value("/no/such")
    next(button for button in app.button if button.label == "Recover images").click().run()
    assert "no folder" in texts(app)
    assert not orders
    app.text_input(key="invert:data").set_value("")
    next(button for button in app.button if button.label == "Recover images").click().run()
    assert not app.exception
    assert [order.method for order in orders] == ["pixels", "generator"]
    assert len({(order.group, order.seed) for order in orders}) == 1
    assert app.selectbox(key="inversion_run").value == orders[0].group != ""


def test_a_servers_address_in_a_link_is_not_asked_by_itself(runs):
    app = open_page("inversion", zoo="http://127.0.0.1:9/")
    assert "has not been asked" in texts(app)
    assert "Connect" in [button.label for button in app.button]


def test_the_gallery_filters_by_class(runs, recovery):
    recovery(runs, classes=("apple", "bee"))
    recovery(runs, teacher="001", classes=("bee", "can"))
    app = open_page("inversion")
    assert "4 class rows of 2 recoveries" in texts(app)
    app.selectbox(key="gallery_class").set_value("bee").run()
    assert "2 class rows of 2 recoveries" in texts(app)


def test_pictures_are_ordered_by_confidence_and_disagreements_flagged(runs, recovery):
    answers(recovery(runs))
    app = open_page("inversion", sort="judge")
    tiles = grid(app)["tiles"]
    shares = [int(tile["text"].split(" ")[-1].split("\u00a0")[0]) for tile in tiles]
    assert shares == sorted(shares, reverse=True)
    assert [tile["sign"] for tile in tiles[-2:]] == ["wrong"] * 2
    assert sum(tile["sign"] == "wrong" for tile in tiles) == 2
    assert "2 of 12" in texts(app)
    choices = {group.key: group for group in app.button_group}
    choices["choice:show"].set_value("doubtful").run()
    assert len(grid(app)["tiles"]) == 2
    assert (app.query_params["show"], app.query_params["sort"]) == ("doubtful", "judge")


def test_a_recovery_of_an_earlier_version_says_that_nothing_was_kept(runs, recovery):
    recovery(runs)
    app = open_page("inversion", sort="judge")
    assert "earlier version" in texts(app)
    assert {tile["sign"] for tile in grid(app)["tiles"]} == {""}


def test_the_picture_of_a_link_opens_large_with_its_way_and_its_neighbours(runs, recovery):
    answers(recovery(runs))
    app = open_page("inversion", picture="3")
    shown = texts(app)
    assert "**Picture 3**" in shown and r"judge\: bee" in shown
    assert grid(app)["picked"] == 2
    way = next(data for data in components(app, "tile_grid") if data["alt"].endswith("4 steps"))
    assert [tile["text"] for tile in way["tiles"]] == ["1", "10", "20", "30"]
    assert "no other recovery" in shown
    recovery(runs, teacher="001")
    app.query_params["run"] = app.query_params["run"]
    app.run()
    # Both were drawn from one seed: picture 3 of the other is the same.
    assert "picture 3, apple" in texts(app)
    app.query_params["picture"] = "99"
    app.run()
    assert not app.exception and "picture 99" in texts(app)


@pytest.mark.parametrize("text", ["0", "-1", "nine", "9" * 40])
def test_a_picture_that_no_link_can_mean_is_none(runs, recovery, text):
    recovery(runs)
    app = open_page("inversion", picture=text)
    assert grid(app)["picked"] is None and "**Picture 1**" in texts(app)


def test_another_recovery_of_the_teacher_stands_beside_by_its_name_in_the_link(runs, recovery):
    first, second = recovery(runs), recovery(runs, method="generator")
    recovery(runs, teacher="001")
    app = open_page("inversion", run=first.name, beside=second.name)
    assert list(quality(app)["Inverter"]) == ["pixels", "generator"]
    assert app.multiselect[0].options == [option for option in app.multiselect[0].options if "generator" in option]
    assert len([data for data in components(app, "tile_grid") if data["pick"]]) == 2


def test_recorded_recoveries_are_replayed_where_no_own_run_is(runs, recovery, shipped):
    run = answers(recovery(runs))
    record_run(run, shipped / "pixels-000")
    run.path.rename(run.path.parent.parent / "away")
    app = open_page("inversion")
    glance = components(app, "tile_grid")[0]
    # The surest for the judge, out of the stored steps, above everything.
    assert not glance["pick"] and [tile["text"] for tile in glance["tiles"]] == ["1", "10", "20", "30"]
    assert any("recorded on" in element.value for element in app.markdown)
    played = components(app, "replay")[0]
    assert len(played["frames"]) == 4 and played["steps"][-1] == 30
    assert sum(tile["sign"] == "wrong" for tile in grid(app)["tiles"]) == 2
    assert not [button for button in app.button if button.label in ("Resume", "Delete for good")]


def test_a_recorded_recovery_is_chosen_by_its_name_where_there_are_own_ones(runs, recovery, shipped):
    record_run(recovery(runs, method="generator"), shipped / "generator-000")
    app = open_page("inversion")
    assert not components(app, "replay")
    app.query_params["run"] = "generator-000"
    app.run()
    assert components(app, "replay") and app.selectbox(key="inversion_run").value == "generator-000"


def test_the_pictures_of_a_trainings_memory_are_browsed_by_step(runs, training):
    training(runs, steps=40)
    app = open_page("inversion", view="Memory")
    assert grid(app)["columns"] == 5
    assert "Iteration 40 · 25 images of 5 classes" in texts(app)
    app.select_slider[0].set_value("20").run()
    assert app.query_params["at"] == "20"
    assert "Iteration 20 · 25 images of 5 classes" in texts(app)
    assert [tile["text"] for tile in grid(app)["tiles"]][:6] == ["class 0"] * 5 + ["class 1"], "it told no names"


def test_images_of_a_memory_are_called_as_their_run_told():
    told = StoredImages(1, "pictures", Path("gone.png"), [0, 1], ["sweet_pepper", ""])
    assert class_names(told) == ["sweet pepper", "class 1"]
