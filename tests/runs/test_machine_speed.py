"""How fast a machine is: what others compute meanwhile is noticed, and what was measured beside them is not kept."""

import json

import pytest

from dfml.core.paths import write_json
from dfml.runs.costs import machine
from dfml.runs.costs.machine import Others, Speed, keep_speed, kept_speed, this_machine


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))


def speed(fast, *, busy):
    return Speed(fast=fast, slow=2 * fast, device="cpu", threads=2, machine=this_machine(), busy=busy)


def test_an_idle_measurement_is_kept_for_good_and_a_busy_one_until_a_better_one():
    for found, kept in (((20, True), 20), ((30, True), 20), ((10, True), 10), ((15, False), 15), ((5, True), 15)):
        keep_speed(speed(found[0], busy=found[1]))
        assert kept_speed().fast == kept, found


def test_one_that_does_not_say_whether_others_computed_is_not_believed():
    keep_speed(speed(1, busy=False))
    told = speed(1, busy=False).model_dump()
    write_json(machine._kept(), {name: value for name, value in told.items() if name != "busy"})
    assert kept_speed() is None


@pytest.mark.parametrize(("idle", "own", "enough_for"), [(20, 0, 2), (5, 5, 1), (0, 20, 2), (0, 4, 0), (2, 17, 2)])
def test_others_use_what_is_neither_idle_nor_one_s_own(monkeypatch, idle, own, enough_for):
    monkeypatch.setattr(machine, "_cores", lambda: [0, 1])
    seen = iter([(100.0, 50.0, 3.0), *[(120.0, 50.0 + idle, 3.0 + own)] * 9])  # ten seconds of two cores
    monkeypatch.setattr(Others, "_now", staticmethod(lambda: next(seen)))
    others = Others()
    assert others.cores() == pytest.approx((20 - idle - own) / 10)
    assert [others.leave_too_little(threads) for threads in (1, 2)] == [enough_for < 1, enough_for < 2]


def test_the_system_counts_more_than_it_is_idle_and_than_this_process_uses():
    every, idle, own = Others._now()
    assert every > idle > 0 and every > own > 0


@pytest.mark.parametrize("busy", [True, False])
def test_what_is_kept_is_measured_again_where_others_have_ended(monkeypatch, capsys, busy):
    keep_speed(speed(20, busy=True))
    monkeypatch.setattr(machine, "GLANCE", 0)
    monkeypatch.setattr(Others, "leave_too_little", lambda *_: busy)
    monkeypatch.setattr(machine, "measure_speed", lambda: pytest.fail("measured") if busy else speed(1, busy=False))
    machine.main()
    told = json.loads(capsys.readouterr().out)
    assert (told["fast"], kept_speed().fast, kept_speed().busy) == ((20, 20, True) if busy else (1, 1, False))
