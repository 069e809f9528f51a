"""The time left is a range that holds the truth, whatever the speed does."""

import pytest

from dfml.core.time_left import WINDOWS, TimeLeft, in_words


def watched(paces, *, total, begin=0.0, step=0):
    """Look at work whose next steps take these seconds each; yields (range, seconds truly left) after each step."""
    left, now = TimeLeft(), begin
    left.see(step, total, now)
    rest = sum(paces)
    for pace in paces:
        now, rest, step = now + pace, rest - pace, step + 1
        left.see(step, total, now)
        yield left.range(now), rest


def holds(found, truth):
    return found[0] - 1e-6 <= truth <= found[1] + 1e-6


@pytest.mark.parametrize("pace", [0.001, 0.05, 0.7, 4.0, 50.0])
def test_a_constant_speed_gives_a_narrow_range_that_holds_the_truth(pace):
    steps = 4000 if pace < 0.01 else 200
    told = [(found, truth) for found, truth in watched([pace] * steps, total=steps) if found]
    assert len(told) > 0.4 * steps
    for (low, high), truth in told:
        assert holds((low, high), truth) and 0 <= low and high - low <= 0.25 * truth + 0.2


def test_in_the_beginning_nothing_is_said():
    first = [found for found, _ in watched([0.4] * 10, total=10)][:3]
    assert first == [None] * 3
    assert TimeLeft().range(5.0) is None
    unknown = TimeLeft()
    for step in range(9):
        unknown.see(step, 0, 3.0 * step)
    assert unknown.range(27.0) is None, "no total, no end"


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_change_of_speed_is_known_within_a_window(factor):
    before, after = 300, 600
    told = list(watched([0.5] * before + [0.5 * factor] * after, total=before + after))
    since = 0.0
    for position in range(before, before + after):
        since += 0.5 * factor
        found, truth = told[position]
        if since > WINDOWS[0] + 2:
            assert holds(found, truth), (since, found, truth)
    low, high = told[before + int((WINDOWS[-1] + 5) / (0.5 * factor))][0]
    assert high <= 1.3 * low, "after the longest window the old speed is forgotten"


def test_a_slow_beginning_does_not_count():
    """A warm-up within the first step, as of methods that first recover, would make each step look as long."""
    told = [(found, truth) for found, truth in watched([90.0] + [0.3] * 200, total=201) if found]
    assert told and all(holds(found, truth) and found[1] < 90 for found, truth in told)


def test_regular_interruptions_stay_within_the_range_for_most_of_the_time():
    """Validations: every 20th step takes 5 seconds more."""
    paces = [0.4 + (5.0 if step % 20 == 19 else 0.0) for step in range(600)]
    told = [holds(found, truth) for found, truth in list(watched(paces, total=600))[150:500] if found]
    assert sum(told) >= 0.9 * len(told)


def test_work_that_stands_still_takes_longer_and_never_less_than_nothing():
    left = TimeLeft()
    for step in range(11):
        left.see(step, 20, float(step))
    fresh, stuck = left.range(10.0), left.range(40.0)
    assert stuck[1] > 3 * fresh[1] and all(low >= 0 for low, _ in (fresh, stuck, left.range(1e6)))
    left.see(20, 20, 41.0)
    assert left.range(41.0)[0] == 0.0


def test_another_piece_of_work_begins_anew():
    left = TimeLeft()
    for step in range(11):
        left.see(step, 20, float(step))
    left.see(1, 20, 11.0)
    assert left.range(11.0) is None
    for step in range(2, 8):
        left.see(step, 20, 10.0 + step)
    left.see(8, 200, 19.0)
    assert left.range(19.0) is None, "another total"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ((42, 58), "40 to 60 s"),
        ((59, 61), "about 60 s"),
        ((0, 3), "up to 5 s"),
        ((125, 250), "2 to 4 min"),
        ((175, 185), "about 3 min"),
        ((20, 150), "up to 3 min"),
        ((5000, 7300), "1.5 to 2 h"),
        ((0, 0), "up to 5 s"),
    ],
)
def test_a_range_is_told_in_words(left, words):
    assert in_words(left) == words
