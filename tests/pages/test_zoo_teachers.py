"""Looking for teachers on the page of the model zoo: search, filters, order, table, card, charts and map."""

import threading
import time

import pytest
import streamlit as st

from dfml.core.errors import RunFailed
from dfml.core.paths import read_json, write_json
from dfml.runs import comparing
from dfml.ui.zoo import similarity_map
from dfml.zoo.listing import read_zoo
from tests.pages.opening import components, open_page, texts

ORDER = "choice:order"


@pytest.fixture
def motley(zoo_copy, tmp_path, monkeypatch):
    """Three teachers that differ in accuracy, architecture and domain; the cache is empty."""
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    cards = {
        "000": {"accuracy": 0.72, "domain": "birds"},
        "001": {"accuracy": 0.55, "domain": "birds"},
        "002": {"accuracy": 0.91, "domain": "trees"},
    }
    for teacher, said in cards.items():
        change(zoo_copy / teacher / "dfml.json", **said)
    config = read_json(zoo_copy / "001" / "config.json", "config")
    change(zoo_copy / "001" / "config.json", model_args={**config["model_args"], "width": 16})
    return zoo_copy


def change(path, **values):
    write_json(path, {**read_json(path, "file"), **values})


def shown(app):
    """Ids in the table, in its order."""
    return list(app.dataframe[0].value["id"])


def card(app):
    return next(header.value for header in app.header if header.value.startswith("Teacher "))


def test_filters_narrow_table_and_charts_and_stand_in_the_link(runs, motley):
    app = open_page("zoo", zoo=str(motley))
    assert shown(app) == ["000", "001", "002"] and len(app.get("plotly_chart")) == 4
    app.selectbox(key="choice:architecture").set_value("fewshot_conv4:8").run()
    assert shown(app) == ["000", "002"] and len(app.get("plotly_chart")) == 2, "one architecture needs no bars"
    app.selectbox(key="choice:domain").set_value("trees").run()
    assert shown(app) == ["002"] and card(app) == "Teacher 002"
    link = {name: app.query_params[name] for name in ("architecture", "domain")}
    again = open_page("zoo", zoo=str(motley), **link)
    assert shown(again) == ["002"]
    app.selectbox(key="choice:architecture").set_value("fewshot_conv4:16").run()
    assert "No teacher matches" in texts(app) and not app.dataframe and not app.exception


def test_a_range_of_accuracy_leaves_out_the_others_and_those_who_tell_none(runs, motley):
    change(motley / "000" / "dfml.json", accuracy=None)
    app = open_page("zoo", zoo=str(motley))
    assert shown(app) == ["000", "001", "002"]
    app.slider(key="accuracy").set_value((50, 60)).run()
    assert shown(app) == ["001"]
    assert shown(open_page("zoo", zoo=str(motley), accuracy=["90", "100"])) == ["002"]


@pytest.mark.parametrize(("order", "ids"), [("best", ["002", "000", "001"]), ("worst", ["001", "000", "002"])])
def test_an_order_sorts_the_table_and_whoever_tells_no_accuracy_is_last(runs, motley, order, ids):
    app = open_page("zoo", zoo=str(motley), order=order)
    assert shown(app) == ids and card(app) == f"Teacher {ids[0]}"
    change(motley / "000" / "dfml.json", accuracy=None)
    change(motley / "zoo.json", name="changed")
    assert shown(open_page("zoo", zoo=str(motley), order=order))[-1] == "000"


def test_what_a_link_asks_that_no_teacher_has_is_ignored(runs, motley):
    app = open_page("zoo", zoo=str(motley), order="[x](y)", architecture="none", domain="9", teacher="../..", run="x")
    assert shown(app) == ["000", "001", "002"] and card(app) == "Teacher 000"


def test_a_row_of_an_ordered_table_opens_its_own_teacher_and_the_link_keeps_it(runs, motley, monkeypatch):
    whole, picked = st.dataframe, [None]

    def table(*args, **look):
        event = whole(*args, **look)
        if picked[0] is not None and look.get("on_select") == "rerun":
            event.selection.rows[:] = picked
        return event

    monkeypatch.setattr(st, "dataframe", table)
    app = open_page("zoo", zoo=str(motley), order="best")
    picked[0] = 1
    app.run()
    assert card(app) == "Teacher 000" and app.query_params["teacher"] == "000"
    picked[0] = None
    assert card(open_page("zoo", zoo=str(motley), order="worst", teacher="000")) == "Teacher 000"


def test_a_zoo_that_cannot_be_told_apart_has_no_filters(runs, zoo_copy):
    for teacher in ("000", "001", "002"):
        change(zoo_copy / teacher / "dfml.json", accuracy=0.5)
    app = open_page("zoo", zoo=str(zoo_copy))
    assert [box.label for box in app.selectbox] == ["Zoo"] and not app.slider


def keep_map(zoo):
    path = comparing.map_file(read_zoo(str(zoo)))
    places = [[0.0, 0.0], [1.0, 0.5], [0.2, -1.0]]
    write_json(path, {"ids": ["000", "001", "002"], "places": places, "fit": 0.75})
    return path


def test_a_point_of_the_map_opens_the_teachers_card(runs, motley, monkeypatch):
    keep_map(motley)
    app = open_page("zoo", zoo=str(motley), domain="birds")
    (told,) = components(app, "point_map")
    assert [point["mark"] for point in told["points"]] == ["ring", "dot"], "the filter holds for the map, too"
    assert "55.0 %" in told["points"][1]["text"]
    clicks = [1]
    monkeypatch.setattr(similarity_map, "point_map", lambda points, **look: clicks.pop() if clicks else None)
    app.run()
    assert card(app) == "Teacher 001" and app.query_params["teacher"] == "001" and not clicks


def test_a_map_is_of_the_weights_and_a_damaged_one_is_none(runs, motley, tmp_path):
    import shutil

    path = keep_map(motley)
    twin = shutil.copytree(motley, tmp_path / "twin")
    assert comparing.map_file(read_zoo(str(twin))) == path, "a copy has the same map"
    change(motley / "002" / "dfml.json", access="queries")
    assert comparing.map_file(read_zoo(str(motley))) != path
    for damaged in ('{"ids": ["000"], "places": []}', '{"ids": 3}', "[]", "{"):
        path.write_text(damaged)
        assert comparing.read_map(path) is None


def test_teachers_are_compared_when_asked_and_what_went_wrong_is_one_line(runs, motley, monkeypatch):
    may_end, asked = threading.Event(), []

    def compare(reference, path, processes):
        asked.append(reference)
        assert may_end.wait(60)
        if len(asked) == 1:
            raise RunFailed("its process *died*")
        keep_map(motley)

    monkeypatch.setattr(similarity_map, "compare", compare)
    app = open_page("zoo", zoo=str(motley))

    def until(words):
        end = time.monotonic() + 60
        while words not in texts(app.run()):
            assert not app.exception and time.monotonic() < end

    app.button(key="similarity:go").click().run()
    assert [button.label for button in app.button if button.key == "similarity:stop"], "the page does not wait"
    may_end.set()
    until("died")
    app.button(key="similarity:go").click().run()
    until("0.75")
    assert asked == [str(motley)] * 2 and len(components(app, "point_map")) == 1


def test_who_only_answers_queries_is_named_and_a_map_needs_three_others(runs, motley):
    change(motley / "002" / "dfml.json", access="queries")
    app = open_page("zoo", zoo=str(motley))
    assert "No map" in texts(app) and not [button for button in app.button if button.key == "similarity:go"]
