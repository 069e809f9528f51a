import time

import pytest
from streamlit.testing.v1 import AppTest

from dfml.core.paths import write_json
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec
from dfml.ui.compare.results_view import results_of
from dfml.ui.runs.panel import look_again, moved_on
from dfml.ui.runs.run_rows import RunRow, read_row, unique


def test_equal_lines_are_told_apart_by_the_end_of_the_name():
    assert unique({"run-aaaaaa": "x", "run-bbbbbb": "x", "run-cccccc": "y"}) == {
        "run-aaaaaa": "x · aaaaaa",
        "run-bbbbbb": "x · bbbbbb",
        "run-cccccc": "y",
    }
    assert unique({}) == {}


def chooser_page():
    import streamlit as st

    from dfml.runs.folder import RunFolder
    from dfml.runs.spec import RunSpec
    from dfml.ui.runs.run_rows import RunRow, choose_run

    if st.session_state.pop("spoil", False):
        st.query_params.pop("run", None)
        st.session_state["which"] = "a line of before"
    order, part = RunSpec(kind="train", method="purer"), RunSpec(kind="invert", method="pixels", group="old")
    rows = [
        RunRow("new", RunFolder("new"), "train", "new", "unreadable", 0, 0, "damaged", 3.0, None),
        RunRow("middle", RunFolder("middle"), "train", "middle", "finished", 1, 1, "", 2.0, order),
        RunRow("member", RunFolder("member"), "invert", "member", "finished", 1, 1, "", 1.0, part),
    ]
    chosen = choose_run(rows, key="which")
    st.markdown(f"chosen: {chosen.name}")


@pytest.mark.parametrize(
    ("asked", "expected", "said"), [(None, "middle", 0), ("old", "old", 0), ("member", "old", 0), ("gone", "middle", 1)]
)
def test_the_link_decides_and_an_unknown_run_is_said(asked, expected, said):
    app = AppTest.from_function(chooser_page, default_timeout=30)
    if asked:
        app.query_params["run"] = asked
    app.run()
    assert not app.exception
    assert app.markdown[0].value == f"chosen: {expected}"
    assert len(app.info) == said
    assert app.query_params["run"] in (expected, [expected])


def test_a_value_that_the_chooser_no_longer_offers_keeps_the_run():
    app = AppTest.from_function(chooser_page, default_timeout=30)
    app.query_params["run"] = "old"
    app.run()
    app.session_state["spoil"] = True
    app.run()
    assert not app.exception
    assert app.markdown[0].value == "chosen: old"


def a_row(state):
    return RunRow(
        "r", RunFolder("r"), "train", "r", state, 1, 1, "", time.time(), RunSpec(kind="train", method="purer")
    )


def test_a_view_looks_again_while_something_may_change():
    assert look_again(a_row("finished"), a_row("running")) == 1
    assert look_again(a_row("finished"), a_row("stopped")) == 5
    assert look_again(a_row("finished")) is None
    assert look_again() is None


def test_the_page_is_drawn_anew_where_a_run_ended_or_was_resumed():
    assert moved_on("stopped", "queued")
    assert moved_on("running", "finished")
    assert moved_on("stopped", "failed")
    assert not moved_on("queued", "running")
    assert not moved_on("stopped", "stopped")


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        ("train", {"test_accuracy": 0.5678}, 56.78),
        ("train", {"test_accuracy": None}, None),
        ("train", None, None),
        ("invert", {"test_accuracy": 0.5}, None),
    ],
)
def test_finished_trainings_have_the_accuracy_of_their_test(tmp_path, kind, result, expected):
    from dfml.runs.recorder import Recorder

    run = RunFolder.create(RunSpec(kind=kind, method="purer"), root=tmp_path)
    with Recorder(run.path, {"state": "running"}) as recorder:
        recorder.set_status(state="finished", step=1, total=1)
    if result is not None:
        write_json(run.path / "result.json", result)
    found = [100 * test.row["accuracy"] for test in results_of([read_row(run)])]
    assert found == ([] if expected is None else [pytest.approx(expected)])


def test_a_training_that_has_not_ended_has_no_accuracy_yet():
    assert results_of([a_row("running")]) == []
