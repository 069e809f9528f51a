"""What many viewers of a run are shown is made once, and is never older than what they may see."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dfml.ui.runs import shared as place
from dfml.ui.runs.shared import shared, version_of


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Looks as one of several viewers, at a time that the test sets; returns what it saw."""
    clock, viewer = SimpleNamespace(now=100.0), threading.local()
    monkeypatch.setattr(place, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(place, "get_script_run_ctx", lambda **_: SimpleNamespace(session_id=viewer.name))
    made = []

    def as_viewer(name, version, *, at=0.0, young=0.0, what="chart"):
        viewer.name, clock.now = name, 100.0 + at
        return shared(what, tmp_path, version, lambda last: made.append((version, last)) or version, young)

    as_viewer.made = made
    return as_viewer


def test_many_viewers_of_one_version_are_shown_what_the_first_made(look):
    with ThreadPoolExecutor(8) as viewers:
        assert set(viewers.map(lambda name: look(name, 7), "abcdefgh")) == {7}
    assert look.made == [(7, None)]


def test_what_changed_is_made_anew_from_what_was_there(look):
    assert [look("a", 1), look("b", 2), look("b", 2), look("b", 2, what="map")] == [1, 2, 2, 2]
    assert look.made == [(1, None), (2, 1), (2, None)]


def test_what_another_viewer_made_a_moment_ago_is_new_enough_and_ones_own_is_not(look):
    assert look("a", 1, young=1) == 1
    assert look("b", 2, at=0.9, young=1) == 1
    assert look("b", 2, at=0.9) == 2, "a run that has ended is shown as it is"
    assert look("b", 3, at=1.0, young=1) == 3
    assert look("a", 4, at=2.5, young=1) == 4


def test_without_a_version_all_is_new(look):
    look("a", None)
    look("a", None)
    assert len(look.made) == 2


def test_a_run_has_another_version_when_its_numbers_or_its_result_change(tmp_path):
    run, seen = SimpleNamespace(path=tmp_path), set()
    for name in ("", "metrics.jsonl", "metrics.jsonl", "result.json"):
        if name:
            with (tmp_path / name).open("a") as file:
                file.write("{}\n")
        seen.add(version_of(run))
    assert len(seen) == 4
