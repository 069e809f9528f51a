import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from dfml.bench import timings as waiting
from dfml.bench.timings import (
    CHOSEN,
    LOADS,
    MOST_BUSY,
    MOST_IDLE,
    STEERING,
    WAYS,
    WORKS,
    WaitingConfig,
    bench_waiting,
    busy_programs,
)
from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY
from dfml.nets import device as waiting_nets
from dfml.nets.device import watch_load

RESULT = REPOSITORY / "benchmarks" / "results" / "waiting.json"


@pytest.fixture
def timed(monkeypatch):
    """Seconds that are made up: by way, twice as many where other programs are busy."""
    calls, busy = [], []

    @contextmanager
    def busy_programs(count):
        busy.append(count)
        yield

    def seconds(piece, zoo, variables):
        calls.append((piece, variables))
        return float(1 + list(WAYS.values()).index(variables)) * (2 if busy[-1] else 1)

    monkeypatch.setattr(waiting, "_timed", seconds)
    monkeypatch.setattr(waiting, "busy_programs", busy_programs)
    return calls


def test_all_ways_are_measured_in_turns_and_what_was_measured_is_kept(timed, tmp_path, monkeypatch):
    order = {"zoo": "z", "out": tmp_path / "out", "work": tmp_path / "work", "command": "python -m dfml bench waiting"}
    result = bench_waiting(WaitingConfig(**order, rounds=2))
    assert len(timed) == 2 * len(WORKS) * len(WAYS) * sum(LOADS.values())
    for number in range(2):
        measured = [m for m in result["measured"] if m["round"] == number]
        assert {(m["work"], m["way"], m["load"], m["turn"]) for m in measured} == {
            (piece, way, load, turn)
            for piece in WORKS for way in WAYS for load, times in LOADS.items() for turn in range(times)
        }  # fmt: skip
        first = [m["way"] for m in measured if m["work"] == "training" and m["load"] == "idle"][:: len(WAYS)]
        assert set(first) == set(WAYS), "none always comes first"
    row = next(r for r in result["rows"] if (r["work"], r["way"]) == ("training", CHOSEN))
    assert row["busy_ratio"] == 2 and row["idle_ratio"] == row["idle_seconds"]
    stored = json.loads((tmp_path / "out" / "waiting.json").read_text())
    assert stored["rows"] == result["rows"] and stored["command"] == order["command"]

    # Two measurements lost: only they are done again.
    kept = tmp_path / "work" / "waiting.jsonl"
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[:-2]) + lines[-2][:20])  # cut off in the middle of a line
    timed.clear()
    bench_waiting(WaitingConfig(**order, rounds=2))
    assert len(timed) == 2
    with pytest.raises(BadInput, match="another zoo"):
        bench_waiting(WaitingConfig(**{**order, "zoo": "other"}))


def test_only_the_chosen_way_follows_the_load(monkeypatch):
    monkeypatch.setattr(waiting_nets, "_started", threading.Lock())
    monkeypatch.setattr(waiting_nets, "_look_on", lambda watch: None)
    for way, variables in WAYS.items():
        with monkeypatch.context() as patch:
            for name in STEERING:
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            assert watch_load(2) == (way == CHOSEN and sys.platform.startswith("linux"))


def test_busy_programs_compute_until_the_measurement_ends(monkeypatch):
    started = []
    real = subprocess.Popen

    def popen(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(waiting.subprocess, "Popen", popen)
    with busy_programs(2):
        assert len(started) == 2 and all(each.poll() is None for each in started)
    assert all(each.poll() is not None for each in started)


def test_the_committed_choice_costs_little_idle_and_keeps_its_speed_when_busy():
    stored = json.loads(RESULT.read_text())
    assert stored["rounds"] >= 5
    chosen = {row["work"]: row for row in stored["rows"] if row["way"] == CHOSEN}
    assert set(chosen) == set(WORKS)
    for row in chosen.values():
        assert row["busy_ratio"] <= MOST_BUSY and row["idle_ratio"] <= MOST_IDLE, row
