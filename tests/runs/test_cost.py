"""What a training is said to cost, against what it then takes; and memory that cannot suffice."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import torch

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import REPOSITORY
from dfml.meta import evaluation
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.runs.costs import cost as costs
from dfml.runs.costs import dry_run
from dfml.runs.costs.cost import Cost, cost_of, least_bytes
from dfml.runs.costs.extrapolation import Slice, Whole, cuts_of, queries_of, seconds_of
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.jobs import train as jobs
from dfml.runs.spec import RunSpec, default_threads
from dfml.training import context as training
from dfml.training import recovered
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.teacher import load_teacher

PURER = {"iterations": 40, "warm_start": 10, "warm_up": 30, "candidates": 2}
BIDF = {
    "iterations": 12, "inversion_steps": 7, "query_inversion_steps": 5, "recovered": "fresh", "recovered_per_class": 5,
    "query_per_class": 4, "q": 2, "generate_interval": 50, "boundary_after": 100, "latent": 8, "generator_width": 8,
}  # fmt: skip
DISTILL = {
    "iterations": 9, "inversion_steps": 6, "recovered": "fresh", "recovered_per_class": 5, "consensus": 0, "visits": 1,
    "init": "random", "latent": 8, "generator_width": 8,
}  # fmt: skip
COMMON = {"width": 4, "tasks": 1, "shot": 1, "query": 3, "validate_every": 5, "validation_episodes": 3, "test_steps": 2}


@pytest.fixture(autouse=True)
def short(monkeypatch, tiny_zoo_folder):
    """Few test episodes, a teacher as the probe, and a clock of this process's own work alone."""
    monkeypatch.setattr(jobs, "TEST_EPISODES", 8)
    monkeypatch.setattr(training, "probe", lambda: load_teacher(tiny_zoo_folder / "002"))
    own = SimpleNamespace(perf_counter=time.process_time, time=time.process_time, monotonic=time.monotonic)
    monkeypatch.setattr(dry_run, "time", own)


@pytest.fixture
def ask(tiny_zoo_folder, patterns):
    def make(method, **changes):
        config = METHODS.get(method).preset("demo").override({**COMMON, **changes})
        return RunSpec(
            kind="train", method=method, zoo=str(tiny_zoo_folder), data=str(patterns), device="cpu", threads=1,
            config=config.model_dump(mode="json"),
        )  # fmt: skip

    return make


BALLAST = 400
"""MiB that a training holds for a moment, so that its own memory counts beside that of all that is loaded."""
ALONE = """
import json, sys
from pathlib import Path
import torch
from dfml.core.system import SYSTEM
from dfml.methods import METHODS
from dfml.nets.device import peak_memory_mib
from dfml.runs.costs import dry_run
from dfml.runs.driver import run_in_process
from dfml.runs.jobs import train as jobs
from dfml.runs.spec import RunSpec
from dfml.training import context as training
from dfml.zoo.teacher import load_teacher

spec, ballast = RunSpec.model_validate_json(sys.argv[1]), int(sys.argv[2])
jobs.TEST_EPISODES, training.probe = 8, lambda: load_teacher(Path(spec.zoo) / "002")
cls = METHODS.get(spec.method)
train, bare = cls.train, peak_memory_mib(torch.device("cpu"))

def heavy(self, given):
    for place, event in enumerate(train(self, given)):
        if place == 1:
            torch.ones(ballast * 2**18)  # and freed at once
        yield event

cls.train = heavy
said = dry_run.measure(spec) if sys.argv[3] == "asked" else None
if said is None:
    run_in_process(spec)
print(json.dumps({
    "bare": bare, "held": peak_memory_mib(torch.device("cpu")), "said": said and said.memory_mib,
    "free": said and said.free_mib,
}))
"""


def test_a_run_takes_about_what_was_said(ask, monkeypatch):
    monkeypatch.setattr(evaluation, "_bare_adaptation", lambda *_: pytest.fail("no run's test does this"))
    spec = ask("purer", **PURER)
    said, began = dry_run.measure(spec), time.process_time()
    run = RunFolder(run_in_process(spec)["run"])
    took = time.process_time() - began
    assert said.seconds[0] / 2 <= took <= 2 * said.seconds[1] <= 8 * said.seconds[0]
    size = sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file()) / 2**20
    assert said.disk_mib[0] / 3 <= size <= 3 * said.disk_mib[1]
    assert said.text.count("\n") == 0 and said.queries is None and "queries" not in said.text


def test_a_run_holds_about_as_much_memory_as_was_said(ask):
    def alone(what):
        # What this process has freed would hold the ballast as well, and nothing would be seen of it.
        order = ask("purer", **{**PURER, "iterations": 12}).model_dump_json()
        command = [sys.executable, "-c", ALONE, order, str(BALLAST), what]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    asked, done = alone("asked"), alone("done")
    (low, high), held, before = asked["said"], done["held"], done["bare"]
    assert held > before + 0.9 * BALLAST and low > before + 0.9 * BALLAST, "the peak counts, not the end"
    assert low / 1.2 <= held <= high <= 2 * held and high < asked["free"]


@pytest.mark.parametrize(("method", "changes"), [("bidf-mkd", BIDF), ("distill", DISTILL)])
def test_queries_are_counted_to_the_last_one(method, changes, ask, zoo_copy, monkeypatch):
    monkeypatch.setattr(recovered, "AskingConfig", lambda: AskingConfig(q=5))
    for card in zoo_copy.glob("*/dfml.json"):
        card.write_text(json.dumps({**json.loads(card.read_text()), "access": "queries"}))
    spec = ask(method, **changes).model_copy(update={"zoo": str(zoo_copy)})
    said = dry_run.measure(spec)
    asked = MetaModel.load(RunFolder(run_in_process(spec)["run"]).model).details["queries"]
    assert said.queries == (asked, asked)
    assert 0 < int(re.search(r"asked ([\d,]+) queries", said.text)[1].replace(",", "")) < asked, "those of the slices"


def test_nothing_of_it_is_kept_and_what_is_kept_already_costs_nothing(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    spec = ask("distill", **{**DISTILL, "recovered": "kept", "inversion_steps": 4000})
    before = dry_run.measure(spec)
    assert not (tmp_path / "cache").exists() and not (tmp_path / "runs").exists()
    few = ask("distill", **{**DISTILL, "recovered": "kept"})
    first = dry_run.measure(few)
    run_in_process(few)
    assert dry_run.measure(few).disk_mib[1] < first.disk_mib[1]
    assert before.seconds[0] > 5 * first.seconds[1]


@pytest.mark.parametrize("start", [lambda spec: dry_run.measure(spec), lambda spec: run_in_process(spec)])
def test_memory_that_cannot_suffice_is_refused_before_any_work(start, ask, monkeypatch):
    monkeypatch.setattr(costs, "free_bytes", lambda device: 1000)
    monkeypatch.setattr(METHODS.get("purer"), "train", lambda *_: pytest.fail("it has begun"))
    with pytest.raises(BadInput, match="needs at least .* MiB are free on cpu") as refused:
        start(ask("purer", **PURER))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("fits", [True, False])
def test_what_the_slices_took_must_have_been_free_before_them(fits, ask, monkeypatch):
    def sliced(*_):
        monkeypatch.setattr(costs, "free_bytes", lambda device: 1000)  # freed, and kept by this process
        return Slice(
            iterations=dict.fromkeys(range(3), 1.0),
            disk=dict.fromkeys(("checkpoint", "image", "model", "metrics"), 1.0),
        )

    own = psutil.Process().memory_info().rss / 2**20
    monkeypatch.setattr(dry_run, "_slice", sliced)
    monkeypatch.setattr("dfml.nets.device.peak_memory_mib", lambda device: own + 64 if fits else 2.0**40)
    if fits:
        assert dry_run.measure(ask("purer", **PURER)).free_mib > 64
    else:
        with pytest.raises(BadInput, match="MiB are free on cpu"):
            dry_run.measure(ask("purer", **PURER))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"),
        RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_memory_that_runs_out_while_measuring_is_a_refusal(error, ask, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(dry_run, "measure", fails)
    answer = dry_run._answer(ask("purer").model_dump_json(), print)
    assert answer["bad_input"] and "memory" in answer["error"] and "\n" not in answer["error"]
    error = ValueError("odd")
    with pytest.raises(ValueError, match="odd"):
        dry_run._answer(ask("purer").model_dump_json(), print)


@pytest.mark.parametrize("threads", [None, 3])
def test_it_is_measured_with_the_threads_that_a_run_records(threads, ask, monkeypatch):
    orders = []

    def do(_self, _label, _command, order):
        orders.append(RunSpec.model_validate_json(order))
        return {"error": "asked"}

    monkeypatch.setattr(costs.JobProcesses, "do", do)
    spec = ask("purer").model_copy(update={"threads": threads})
    with pytest.raises(RunFailed, match="asked"):
        cost_of(spec)
    assert orders[0].threads == spec.recorded().threads == (threads or default_threads())


def test_the_lower_bound_grows_with_the_sizes():
    config = METHODS.get("purer").preset("demo")
    one, more = (least_bytes(config.override({"way": way}), (3, 32, 32)) for way in (5, 100))
    assert 0 < one < 2**30 and more == 20 * one
    assert least_bytes(METHODS.get("random").preset("demo"), (3, 32, 32)) == 0


def test_the_process_answers_with_a_cost_or_a_reason(ask, monkeypatch):
    fields = {"seconds": [1, 2], "memory_mib": [3, 4], "free_mib": 5, "queries": [6, 6]}
    fields |= {"disk_mib": [7, 8], "device": "cpu", "how": "Guessed."}

    def answering(value):
        code = f"import sys; sys.stdin.readline(); print({json.dumps({'outcome': value})!r})"
        monkeypatch.setattr(costs, "COMMAND", [sys.executable, "-c", code])
        return cost_of(ask("purer"))

    assert answering(fields) == Cost.parse(fields) and "6 queries" in answering(fields).text
    with pytest.raises(BadInput, match="no such zoo"):
        answering({"error": "no such zoo", "bad_input": True})
    with pytest.raises(RunFailed, match="too long"):
        answering({"error": "too long", "bad_input": False})


MEASURING = """
import os, sys, time
from dfml.runs.costs import dry_run
def measure(spec, *, since, place):
    with dry_run._thrown_away(place) as folder:
        (folder / str(os.getpid())).touch()
        time.sleep(60)
dry_run.measure = measure
dry_run.main(sys.argv[1])
"""
ASKING = f"""
import signal, sys
from dfml.runs.costs import cost
from dfml.runs.spec import RunSpec
signal.signal(signal.SIGINT, signal.default_int_handler)
cost.COMMAND = [sys.executable, "-c", {MEASURING!r}]
cost.cost_of(RunSpec(kind="train", method="purer"))
"""


@pytest.mark.skipif(os.name != "posix", reason="a system without these signals")
def test_however_it_is_stopped_its_folder_goes_with_it(tmp_path, tools):
    askers = {}
    for name in ("SIGINT", "SIGTERM", "SIGKILL", "killed while it measures"):
        (place := tmp_path / name).mkdir()
        environment = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(REPOSITORY)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        askers[name] = subprocess.Popen([sys.executable, "-c", ASKING], env=environment, **quiet)
    for name, asker in askers.items():
        place = tmp_path / name
        (mark,) = tools.wait_for(lambda place=place: list(place.glob("dfml-dry-run-*/*")))
        mine = name.startswith("SIG")
        os.kill(asker.pid if mine else int(mark.name), getattr(signal, name) if mine else signal.SIGKILL)
    for name, asker in askers.items():
        assert asker.wait(60) != 0
        tools.wait_for(lambda place=tmp_path / name: not list(place.iterdir()))


def test_the_whole_follows_from_its_slices():
    """Made up: 1 s an iteration, 2 s before them, 0.1 s and 7 queries a step, 3 queries at the end of a recovery."""
    config = METHODS.get("bidf-mkd").preset("demo").override({"iterations": 100, "inversion_steps": 50})
    config = config.override({"query_inversion_steps": 20, "validate_every": 50, "validation_episodes": 10})
    cuts = cuts_of(config)
    assert set(cuts) == {"base", "inversion_steps", "query_inversion_steps", "longer"}

    def cut(name):
        steps = sum(cuts[name][field] for field in ("inversion_steps", "query_inversion_steps"))
        found = Slice(queries=7 * steps + 2 * 3.0)
        found.counts.update(recovery=steps, validation=4)
        found.seconds.update(recovery=0.1 * steps, validation=0.8)
        found.iterations.update({0: 2.0} | {step: 1.0 for step in range(1, cuts[name]["iterations"] + 1)})
        return found

    whole = Whole(config, {"inversion_steps": (1, 3), "query_inversion_steps": (1, 3)}, False, 1.0, 1.0)
    slices = {name: cut(name) for name in cuts}
    assert queries_of(whole, slices) == (7 * 70 + 6, 3 * (7 * 70 + 6))
    low, high = seconds_of(whole, slices)
    assert low == pytest.approx(2 + 100 + 2 * 10 * 0.2 + 70 * 0.1)
    assert high == pytest.approx(2 + 100 + 2 * 10 * 0.2 + 3 * 70 * 0.1)
    # Where there was no time for more, the bounds are further apart, or unknown, and never wrong.
    base, without = slices["base"], Whole(config, whole.recoveries, False, 1.0, 1.0, episode=0.2)
    parts = [{"base": base}]
    for count in (2, 1, 0):
        times = {step: base.iterations[step] for step in range(count + 1)}
        part = Slice(iterations={**times, count + 1: 0.5}, seconds=base.seconds, counts=base.counts)
        part.break_off(count + 1)
        assert part.done == count and not part.whole
        parts.append({"base": part})
    for each in parts:
        least, most = seconds_of(without, each)
        assert 0.2 * low < least <= low and (most is None or most >= 0.999 * high)
        assert queries_of(without, each) == (base.queries if each["base"] is base else 0.0, None)
    assert [seconds_of(without, each)[1] is None for each in parts] == [False, False, False, True]


@pytest.mark.parametrize("events", [0, 9])
def test_when_its_time_is_over_it_says_what_is_known_by_then(events, ask, monkeypatch):
    looks, begun, one = itertools.count(), [], dry_run._slice  # a second from one look at the clock to the next
    clock = SimpleNamespace(perf_counter=time.process_time, time=lambda: 0.0, monotonic=lambda: float(next(looks)))
    monkeypatch.setattr(dry_run, "time", clock)
    monkeypatch.setattr(dry_run, "_slice", lambda *args: begun.append(args) or one(*args))
    monkeypatch.setattr(dry_run, "LIMIT_SECONDS", float(events))
    said = dry_run.measure(ask("purer", **PURER))
    assert len(begun) == 1 and next(looks) <= events + 6, "nothing else was begun"
    assert 0 < said.seconds[0] < 20 and said.memory_mib[0] > 0
    assert said.seconds[1] is None and said.text.startswith("at least")


@pytest.mark.parametrize(("first", "seconds"), [(10, 2 + 3 + 9 * 0.5 + 30), (1, 2 + 3 + 39), (0, 2 + 3 + 39)])
def test_the_first_iteration_counts_once(first, seconds):
    """Made up: 2 s before iteration 1, which takes 3 s; 0.5 s each in the first phase, then 1 s each."""
    config = METHODS.get("purer").preset("demo").override({**PURER, "warm_start": first})
    cut = cuts_of(config)["base"]
    times = {0: 2.0, 1: 3.0, 2: 0.5 if first > 1 else 1.0} | dict.fromkeys(range(3, cut["iterations"] + 1), 1.0)
    whole = Whole(config, {}, False, 1.0, 1.0)
    assert seconds_of(whole, {"base": Slice(iterations=times)}) == pytest.approx((seconds, seconds))
