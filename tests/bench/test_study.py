"""Jobs done by processes; here small scripts that only play the process of a run."""

import contextlib
import json
import sys
import tempfile
import time

import psutil
import pytest

from dfml.bench import study
from dfml.bench.job import BenchJob
from dfml.bench.study import do_jobs
from dfml.runs import processes
from dfml.runs.spec import RunSpec

HEAD = """
import json, os, sys, time
order = json.loads(sys.stdin.readline())
seed = order["spec"]["seed"]
here = os.path.dirname(order["folder"])
def say(**values):
    print(json.dumps(values), flush=True)
def wait_for(name):
    end = time.time() + 20
    while not os.path.exists(os.path.join(here, name)):
        assert time.time() < end, name
        time.sleep(0.01)
"""


@pytest.fixture
def order(tmp_path):
    def make(seed, **changes):
        spec = RunSpec(kind="train", method="random", zoo="none", seed=seed)
        common = {"folder": str(tmp_path / f"run{seed}"), "scenario": "SS", "data": ["none"], "shots": [1]}
        return BenchJob(spec=spec, **{**common, **changes})

    return make


@pytest.fixture
def play(monkeypatch):
    def set_script(text):
        monkeypatch.setattr(study, "COMMAND", [sys.executable, "-c", HEAD + text])

    return set_script


def outcomes(orders, jobs=1, lines=None):
    return dict(do_jobs(orders, side_by_side=jobs, device="cpu", progress=(lines if lines is not None else []).append))


def test_an_outcome_is_what_the_process_says_last(order, play):
    play('say(text="working"); print("noise", file=sys.stderr); print("welcome"); say(outcome={"rows": [seed]})')
    assert outcomes([order(7), order(8)]) == {0: {"rows": [7]}, 1: {"rows": [8]}}


def test_two_jobs_are_side_by_side_and_do_not_wait_in_one_line(order, play):
    play(
        """
open(os.path.join(here, str(seed)), "w").close()
wait_for(str(1 - seed))
say(outcome={"rows": [os.environ["DFML_LOCKS"]]})
"""
    )
    found = outcomes([order(0, jobs=2), order(1, jobs=2)], jobs=2)
    assert found[0]["rows"] != found[1]["rows"]


def test_the_death_of_a_process_is_told_and_the_others_go_on(order, play):
    play(
        """
if seed == 0:
    print("the last straw", file=sys.stderr, flush=True)
    print('{"outcome": {"rows": [{"acc', end="", flush=True)
    os.kill(os.getpid(), 9)
say(outcome={"rows": []})
"""
    )
    found = outcomes([order(0), order(1)])
    assert found[0]["kind"] == "failed" and "SIGKILL" in found[0]["reason"]
    assert "perhaps memory was short" in found[0]["reason"] and "the last straw" in found[0]["reason"]
    assert found[1] == {"rows": []}


NAMELESS = pytest.mark.skipif(sys.platform != "linux", reason="the others have a name for each signal")


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param("os.kill(os.getpid(), 40)", "signal 40", marks=NAMELESS, id="a signal without a name"),
        pytest.param("print('{odd}', flush=True)", "property name", id="an answer that is none"),
    ],
)
def test_an_odd_end_is_a_failure_of_one_job(order, play, end, reason):
    play(f"if seed == 0: {end}\nsay(outcome={{'rows': []}})")
    found = outcomes([order(0), order(1)])
    assert found[0]["kind"] == "failed" and reason in found[0]["reason"]
    assert found[1] == {"rows": []}


def test_what_cannot_be_started_is_a_failure_of_each_job(order, monkeypatch):
    monkeypatch.setattr(study, "COMMAND", ["/nowhere/python"])
    assert [found["kind"] for found in outcomes([order(0), order(1)]).values()] == ["failed"] * 2


def test_a_job_starts_only_after_the_one_before_was_reported(order, play, tmp_path):
    play('open(os.path.join(here, f"began{seed}"), "w").close(); say(outcome={"rows": []})')
    jobs = do_jobs([order(0), order(1)], side_by_side=1, device="cpu", progress=lambda line: None)
    assert next(jobs)[0] == 0
    time.sleep(0.5)  # as one who writes a report
    assert not (tmp_path / "began1").exists()
    assert [position for position, _ in jobs] == [1]


def test_preparing_has_a_process_of_its_own_and_its_cost_goes_to_the_next(order, play):
    play(
        """
if sys.argv[1] == "prepare":
    say(outcome={"kept_seconds": 5.0, "process": os.getpid()})
else:
    assert order["preparation"]["process"] != os.getpid()
    say(outcome={"rows": [order["preparation"]["kept_seconds"]]})
"""
    )
    assert outcomes([order(0, prepares=True)]) == {0: {"rows": [5.0]}}


def test_a_method_that_cannot_prepare_is_not_trained(order, play):
    play('say(outcome={"kind": "cannot", "reason": sys.argv[1]})')
    assert outcomes([order(0, prepares=True)])[0]["reason"] == "prepare"


def test_what_is_refused_needs_no_process(order, monkeypatch):
    monkeypatch.setattr(study, "COMMAND", ["/nowhere"])
    assert outcomes([order(0, refused="no such data")]) == {0: {"kind": "cannot", "reason": "no such data"}}


def test_progress_is_told_now_and_then_and_a_wait_for_the_device_at_once(order, play, monkeypatch):
    play('say(text="waiting for cpu (run x)"); wait_for("go"); say(outcome={"rows": []})')
    monkeypatch.setattr(study, "LOOK_SECONDS", 0.02)
    one = order(0)
    lines = []

    def progress(line):
        lines.append(line)
        (study.RunFolder(one.folder).path.parent / "go").touch()

    assert dict(do_jobs([one], side_by_side=1, device="cpu", progress=progress)) == {0: {"rows": []}}
    assert lines == ["[0/1 done] random, seed 0: waiting for cpu (run x)"]


def test_whoever_stops_listening_ends_all_processes(order, play, tmp_path, monkeypatch):
    play(
        """
if seed == 0:
    say(outcome={"rows": []})
else:
    open(os.path.join(here, f"pid{seed}"), "w").write(str(os.getpid()))
    assert sys.stdin.read() == ""
    open(os.path.join(here, f"asked{seed}"), "w").close()
    time.sleep(60)
"""
    )
    monkeypatch.setattr(processes, "PATIENCE_SECONDS", 1.0)
    stream = do_jobs([order(s, jobs=2) for s in range(4)], side_by_side=2, device="cpu", progress=lambda line: None)
    next(stream)
    while not (tmp_path / "pid1").exists():
        study.time.sleep(0.01)
    stream.close()
    # It was asked politely first; the fourth was never started.
    assert (tmp_path / "asked1").exists() and not (tmp_path / "pid3").exists()
    for path in tmp_path.glob("pid*"):
        assert not path.read_text() or not psutil.pid_exists(int(path.read_text()))


def test_what_a_process_started_ends_with_it(order, play):
    play(
        """
import subprocess
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
say(outcome={"rows": [other.pid]})
"""
    )
    (pid,) = outcomes([order(0)])[0]["rows"]
    with contextlib.suppress(psutil.NoSuchProcess):
        end = time.monotonic() + 10
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_nothing_lies_in_the_temporary_folder_while_jobs_are_done(order, play, tmp_path, monkeypatch):
    """A command that is killed could not remove it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    play('say(outcome={"rows": os.listdir(os.path.join(here, "temporary"))})')
    assert outcomes([order(0, jobs=2)])[0] == {"rows": []}


def test_an_order_survives_its_way(order):
    one = order(3, rate=40, preparation={"kept_seconds": 1.0})
    assert BenchJob.model_validate(json.loads(one.model_dump_json())) == one
    assert one.label == "random, seed 3, 40 % polluted"
