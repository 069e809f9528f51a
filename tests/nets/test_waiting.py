import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from dfml.nets import device as waiting
from dfml.nets.device import CALM_LOOKS, LoadWatch, SleepingTeams, taken_by_others, watch_load


class Teams:
    made, ended = [], 0

    def __init__(self, count):
        Teams.made.append(count)

    def end(self):
        Teams.ended += 1


@pytest.fixture
def watch():
    """A watch on 4 threads of 6 cores; ``look(x)``: for a second, others took x cores."""
    Teams.made, Teams.ended = [], 0
    seconds = [0.0]
    made = LoadWatch(4, 6, lambda: seconds[0], Teams)
    start = made._last[0]

    def look(others):
        seconds[0] += others
        look.now += 1
        return made.look(look.now)

    look.now = start
    return look


def test_waits_are_short_while_others_want_more_than_the_cores_that_are_left(watch):
    assert not watch(0) and not watch(2.3)
    assert not watch(3) and not watch(1) and not watch(3), "a moment is no reason"
    assert watch(6) and Teams.made == [1]
    assert all(watch(2) for _ in range(CALM_LOOKS - 1)) and Teams.ended == 0
    assert watch(2.4), "a moment that is not calm starts the count anew"
    assert [watch(0) for _ in range(CALM_LOOKS)] == [True] * (CALM_LOOKS - 1) + [False] and Teams.ended == 1
    assert not watch(4) and watch(4) and Teams.made == [1, 1]


@pytest.mark.parametrize(("threads", "cores", "needed"), [(2, 2, 1), (2, 4, 3), (8, 16, 2), (16, 16, 1), (4, 64, 21)])
def test_so_many_teams_that_there_are_more_threads_than_cores(threads, cores, needed):
    assert LoadWatch(threads, cores, lambda: 0.0, Teams).needed == needed
    assert threads + needed * (threads - 1) > cores >= threads + (needed - 1) * (threads - 1)


def test_nobody_watches_for_one_thread_or_against_the_user(monkeypatch):
    monkeypatch.setattr(waiting, "_started", None)  # whoever started a watch would fail here
    assert not watch_load(1)
    for name, value in (("GOMP_SPINCOUNT", "5"), ("OMP_WAIT_POLICY", "ACTIVE")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert not watch_load(4)
    monkeypatch.setattr(waiting.sys, "platform", "darwin")
    assert not watch_load(4)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's OpenMP is in wheels for Linux")
def test_what_others_take_is_not_what_this_process_takes():
    taken, own, cores = taken_by_others(), time.process_time, len(os.sched_getaffinity(0))
    before = taken()
    code = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert taken() - before > 0.4
    before, started, end = taken(), time.monotonic(), own() + 0.5
    while own() < end:
        pass
    # Whatever else runs: this half second was not others'.
    assert taken() - before < cores * (time.monotonic() - started) - 0.4


def test_sleeping_teams_change_neither_threads_nor_a_byte_and_go_when_told():
    before = threading.active_count()

    def work():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(28800, 5)
        )
        net(torch.randn(64, 3, 32, 32)).square().mean().backward()
        return torch.get_num_threads(), [p.grad for p in net.parameters()]

    torch.set_num_threads(2)
    teams = SleepingTeams(3)
    short, found = work()
    teams.end()
    assert threading.active_count() == before
    long, expected = work()
    assert short == long == 2 and all(map(torch.equal, found, expected))


def test_a_team_holds_a_thread_until_it_ends():
    teams = SleepingTeams(2)
    assert all(thread.is_alive() for thread in teams._threads)
    teams.end()
    assert not any(thread.is_alive() for thread in teams._threads)
