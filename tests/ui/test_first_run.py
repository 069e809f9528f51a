"""What the first run of a method costs follows from the zoo, the config, and how teachers are asked."""

import re

import pytest

from dfml.core.paths import read_json
from dfml.methods import METHODS
from dfml.ui.training.form import (
    BY_QUERIES,
    CORES,
    MEASURED,
    RECOVERY,
    REVISION,
    first_run_seconds,
    first_run_text,
    kept_recoveries,
    training_text,
)


def demo(name, **changes):
    return METHODS.get(name).demo().override(changes)


REVISED, PLAIN = RECOVERY + REVISION, RECOVERY


@pytest.mark.parametrize(
    ("method", "changes", "ways", "count", "each"),
    [
        ("teapot", {}, [5] * 100, 100, REVISED),
        ("tgr", {"consensus": 0}, [5] * 100, 100, PLAIN),
        ("distill", {"visits": 2}, [5] * 10, 20, REVISED),
        ("teapot", {}, [5] * 3, 3, REVISED),
        ("teapot", {}, [5, 5, 10], 3, REVISED),
        ("teapot", {"consensus": 0}, [5, 5, 10], 2, PLAIN),
        ("bidf-mkd", {}, [5] * 100, 10, BY_QUERIES),
        ("bidf-mkd", {"oracle": "autograd"}, [5] * 9, 9, PLAIN),
        ("bidf-mkd", {}, [5] * 4, 4, BY_QUERIES),
        ("teapot", {"recovered": "fresh", "consensus": 0}, [5] * 100, 0, REVISED),
        ("purer", {}, [5] * 100, 0, REVISED),
    ],
)
def test_the_cost_scales_with_the_recoveries_that_are_made(method, changes, ways, count, each):
    """What each takes is measured: see ``test_what_is_told_is_what_was_measured``."""
    config = demo(method, **changes)
    assert kept_recoveries(config, ways) == count
    assert first_run_seconds(config, ways) == pytest.approx(count * each / CORES)


def test_the_text_says_roughly_how_long_and_only_where_there_is_something_to_keep():
    assert "100 recoveries, about 12 min on two CPU cores" in first_run_text(demo("teapot"), [5] * 100)
    assert "1 recovery, about 7 s on two" in first_run_text(demo("teapot"), [5])
    assert " min " not in first_run_text(demo("bidf-mkd"), [5] * 9, remote=True)
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
    told = {name for name in METHODS if re.search(r"\d (?:min|s) on two", training_text(name, "demo"))}
    assert told == set(rows) & set(METHODS) and "purer" in told, "nothing is told of what was not measured yet"


def test_without_the_table_nothing_is_claimed(tmp_path):
    assert training_text("purer", "demo", measured=tmp_path / "gone.json") == ""
    (tmp_path / "bad.json").write_text("{}")
    assert training_text("purer", "demo", measured=tmp_path / "bad.json") == ""
