import pytest

from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec
from dfml.runs.status import ACTIVE
from dfml.ui.runs.run_rows import Comparison, RunRow, comparisons, new_group, series_names, whose


def spec(method="pixels", **more):
    return RunSpec(kind="invert", method=method, zoo="cifar-fs-conv4", teachers=["000"], **more)


def row(name, order, state="finished", created=0.0):
    return RunRow(name, RunFolder(name), "invert", order.title if order else name, state, 1, 1, "", created, order)


def test_runs_of_a_group_stand_together_in_order_of_start_and_others_alone():
    group = new_group()
    rows = [
        row("c", spec("generator", group=group), created=3),
        row("b", spec("pixels", group=group), created=2),
        row("old", spec(), created=1),
        row("damaged", None, "unreadable", created=0),
    ]
    found = comparisons(rows)
    assert [[r.name for r in one.rows] for one in found] == [["b", "c"], ["old"], ["damaged"]]
    assert found[0].name == group
    assert found[0].title == "teacher 000 of cifar-fs-conv4: pixels, generator"
    assert found[1].name == "old"
    assert found[2].spec is None


def test_every_comparison_has_an_id_of_its_own_that_a_spec_takes():
    assert new_group() != new_group()
    assert spec(group=new_group()).group


@pytest.mark.parametrize(
    ("states", "expected", "active"),
    [
        (["finished", "running", "failed"], "running", True),
        (["finished", "queued"], "queued", True),
        (["finished", "stopped"], "stopped", False),
        (["stopped", "failed", "finished"], "failed", False),
        (["finished", "finished"], "finished", False),
    ],
)
def test_the_state_of_a_comparison_is_that_of_work_in_progress_or_the_worst(states, expected, active):
    found = Comparison("x", tuple(row(str(i), spec(), state) for i, state in enumerate(states)))
    assert (found.state, found.state in ACTIVE) == (expected, active)


def test_the_same_inverter_twice_is_told_apart():
    black = {"oracle": "zeroth-order"}
    assert series_names([spec(), spec("generator")]) == ["pixels", "generator"]
    assert series_names([spec("generator"), spec("generator", oracle=black)]) == ["generator", "generator, queries"]
    assert series_names([spec(), spec(), None]) == ["pixels 1", "pixels 2", "unreadable"]


def test_a_line_says_whose_pictures_they_are():
    assert whose(spec()) == "teacher 000 of cifar-fs-conv4"
    assert whose(RunSpec(kind="invert", method="pixels", zoo="/zoos/mine")) == "all teachers of mine"
