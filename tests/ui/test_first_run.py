"""What the first run of a method costs follows from the zoo, the config, and how teachers are asked."""

import pytest

from dfml.core.paths import read_json
from dfml.methods import METHODS
from dfml.ui.first_run import CORES, MEASURED, first_run_seconds, first_run_text, kept_recoveries, training_text


def demo(name, **changes):
    return METHODS.get(name).demo().override(changes)


@pytest.mark.parametrize(
    ("method", "changes", "ways", "count", "minutes"),
    [
        ("teapot", {}, [5] * 100, 100, 18.75),
        ("tgr", {"agreement": 0}, [5] * 100, 100, 700 / 60),
        ("distill", {"visits": 2}, [5] * 10, 20, 3.75),
        ("teapot", {}, [5] * 3, 3, 33.75 / 60),
        ("teapot", {}, [5, 5, 10], 3, 33.75 / 60),
        ("teapot", {"agreement": 0}, [5, 5, 10], 2, 14 / 60),
        ("bidf-mkd", {}, [5] * 100, 20, 20 * 96 / 120),
        ("bidf-mkd", {"oracle": "autograd"}, [5] * 12, 12, 84 / 60),
        ("bidf-mkd", {}, [5] * 4, 4, 4 * 96 / 120),
        ("teapot", {"recovered": "fresh", "agreement": 0}, [5] * 100, 0, 0),
        ("purer", {}, [5] * 100, 0, 0),
    ],
)
def test_the_cost_scales_with_the_recoveries_that_are_made(method, changes, ways, count, minutes):
    config = demo(method, **changes)
    assert kept_recoveries(config, ways) == count
    assert first_run_seconds(config, ways) == pytest.approx(60 * minutes)


def test_the_text_says_roughly_how_long_and_only_where_there_is_something_to_keep():
    assert "100 recoveries, about 19 minutes on two CPU cores" in first_run_text(demo("teapot"), [5] * 100)
    assert "1 recovery, about 1 minute on two" in first_run_text(demo("teapot"), [5])
    assert "minutes" not in first_run_text(demo("bidf-mkd"), [5] * 9, remote=True)
    assert first_run_text(demo("random"), [5] * 100) == first_run_text(demo("teapot"), []) == ""


def test_query_sets_that_no_run_keeps_are_told():
    assert "Query sets" in first_run_text(demo("bidf-mkd"), [5] * 9)
    assert "Query sets" not in first_run_text(demo("teapot"), [5] * 9)


def test_what_is_told_is_what_was_measured():
    rows = {row["method"]: row for row in read_json(MEASURED, "table")["rows"]}
    prepared = {name for name, row in rows.items() if row.get("preparation_seconds")}
    assert prepared == {"teapot", "tgr", "distill", "bidf-mkd"}
    for name in prepared:
        told = CORES * first_run_seconds(demo(name), [5] * 100)
        assert told == pytest.approx(rows[name]["preparation_seconds"], rel=0.35)
    assert all("A run of this demo took" in training_text(name, "demo") for name in METHODS)


def test_without_the_table_nothing_is_claimed(tmp_path):
    assert training_text("purer", "demo", measured=tmp_path / "gone.json") == ""
    (tmp_path / "bad.json").write_text("{}")
    assert training_text("purer", "demo", measured=tmp_path / "bad.json") == ""
