"""Whole runs on a cluster: trainings that a worker here follows, and the jobs of a study."""

import json
import os
import re
import signal
import sys
import time
from contextlib import suppress

import psutil
import pytest

from dfml.bench.job import finished_rows
from dfml.bench.plan import job_of
from dfml.bench.study import do_jobs
from dfml.bench.study_config import AccuracyConfig
from dfml.cluster import nodes
from dfml.core.errors import RunFailed
from dfml.core.events import Note, Progress
from dfml.core.paths import write_json
from dfml.methods import METHODS
from dfml.runs import launcher
from dfml.runs.driver import run_in_process
from dfml.runs.folder import CHECKPOINTS, MODEL, RunFolder
from dfml.runs.remote import from_here
from dfml.runs.spec import RunSpec

pytestmark = [
    pytest.mark.slow,  # they start a cluster
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a path that each process reads otherwise: /proc"),
]
PURER = {
    "width": 4, "tasks": 1, "shot": 1, "query": 3, "validate_every": 5, "validation_episodes": 3, "test_steps": 2,
    "warm_start": 10, "warm_up": 30, "candidates": 2,
}  # fmt: skip
PIECE = "a piece of the work"
UNSEEN = "/proc/self/cwd/"
"""A path before which only processes that started in the test's folder find what lies there."""


@pytest.fixture
def apart(tmp_path, monkeypatch, tiny_zoo_folder, patterns):
    """Makes runs; the zoo and the images of ``unseen`` ones are not found by their paths on a node."""
    (tmp_path / "zoo").symlink_to(tiny_zoo_folder)
    (tmp_path / "images").symlink_to(patterns)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))

    def make(name, cluster="", iterations=20, *, unseen=False, started=False):
        config = METHODS.get("purer").preset("demo").override({**PURER, "iterations": iterations})
        spec = RunSpec(
            kind="train", method="purer", zoo="zoo", data="images", device="cpu", threads=1, cluster=cluster,
            config=config.model_dump(mode="json"),
        )  # fmt: skip
        run = (launcher.start if started else RunFolder.create)(spec, path=tmp_path / name)
        if unseen:
            places = {"zoo": f"{UNSEEN}zoo", "data": f"{UNSEEN}images"}
            write_json(run.path / "spec.json", {**run.spec.model_dump(mode="json"), **places})
            run = RunFolder(run.path)
        return run

    return make


def weights(run):
    return {path.name: path.read_bytes() for path in (run.path / MODEL).iterdir() if path.suffix == ".safetensors"}


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_a_training_is_the_same_as_here_and_its_folder_too(whole_cluster, apart):
    there, here, told = apart("there", whole_cluster.address, unseen=True), apart("here"), []
    result = run_in_process(there, on_event=told.append)
    run_in_process(here)
    assert weights(there) == weights(here) and weights(here)
    assert result["run"] == str(there.path) and there.result()["run"] == str(there.path)
    assert there.status().state == "finished" and there.status().pid == os.getpid()
    assert {line.text for line in there.notes()} == {line.text for line in here.notes()}
    curves = there.scalars(), here.scalars()
    assert curves[0]["val/accuracy"] == curves[1]["val/accuracy"]
    pictures = [sorted(path.name for path in (run.path / "images").iterdir()) for run in (there, here)]
    assert pictures[0] == pictures[1] and pictures[0]
    assert any(isinstance(event, Progress) and event.total for event in told)
    assert any(isinstance(event, Note) for event in told)
    spec = json.loads((there.path / "spec.json").read_text())
    assert spec["zoo"] == f"{UNSEEN}zoo", "paths are those of whoever asked"


def test_a_stopped_run_keeps_its_steps_and_goes_on_elsewhere(whole_cluster, apart):
    run = apart("run", whole_cluster.address, iterations=4000, started=True)
    wait_for(lambda: run.status().state == "running" and run.status().step > 40)
    assert launcher.stop_and_wait(run), run.status()
    kept = run.status().step
    assert run.status().state == "stopped" and kept > 40 and list((run.path / CHECKPOINTS).iterdir())
    launcher.resume(run)
    wait_for(lambda: run.status().state == "running" and run.status().step > kept)
    assert any("going on from step" in line for line in (run.path / "log.txt").read_text().splitlines())
    assert launcher.stop_and_wait(run)


def test_a_lost_node_costs_what_came_after_the_last_checkpoint(cluster, apart):
    run = apart("run", cluster.address, iterations=200, started=True)
    wait_for(lambda: run.status().state == "running" and run.status().step > 10)
    assert launcher.stop_and_wait(run), run.status()
    kept, before = run.status().step, [worker.said.count(PIECE) for worker in cluster.workers]
    assert 10 < kept < 200
    launcher.resume(run)
    wait_for(lambda: run.status().state == "running" and run.status().step > kept)
    (at_work,) = [w for w, was in zip(cluster.workers, before, strict=True) if w.said.count(PIECE) > was]
    at_work.kill()
    wait_for(lambda: not run.status().active, 120)
    assert run.status().state == "finished", run.status()
    begun = [int(step) for step in re.findall(r"going on from step (\d+)", (run.path / "log.txt").read_text())]
    assert len(begun) == 2 and kept <= begun[0] <= begun[1], "on either node"
    run_in_process(plain := apart("plain", iterations=200))
    assert weights(run) == weights(plain)


def test_a_frozen_node_is_told_and_left_for_another_once_its_cluster_gives_it_up(make_cluster, apart, monkeypatch):
    monkeypatch.setattr(nodes, "QUIET_SECONDS", 4.0)
    made = make_cluster(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="30s")
    one, two = (made.worker(name) for name in ("one", "two"))
    run, told, frozen = apart("run", made.address, iterations=200), [], []
    for worker in (one, two):
        worker.wait_for("workers: ")

    def freeze(event):
        if isinstance(event, Progress):
            told.append(event.text)
            if not frozen and event.step:
                (at_work,) = [worker for worker in (one, two) if PIECE in worker.said]
                frozen.extend(at_work.family()[1:])  # not its nanny, which starts another one
                for process in frozen:
                    process.send_signal(signal.SIGSTOP)

    try:
        result = run_in_process(run, on_event=freeze)
    finally:
        for process in frozen:
            with suppress(psutil.Error):
                process.kill()
    seconds = [int(s) for text in told for s in re.findall(r"not answered for (\d+) s", text)]
    assert seconds and 4 <= min(seconds) < 12 < max(seconds), told[-9:]
    assert result["state"] == run.status().state == "finished" and one.said.count(PIECE) + two.said.count(PIECE) == 2


@pytest.mark.parametrize("broken", ["nobody answers", "the program breaks"])
def test_a_run_whose_cluster_fails_says_so_in_a_line(broken, apart, monkeypatch):
    run = apart("run", "tcp://127.0.0.1:1")
    if broken == "the program breaks":
        monkeypatch.setattr(from_here, "in_processes", lambda *_, **__: {}["no such key"])
    with pytest.raises(RunFailed) as failed:
        run_in_process(run)
    assert run.status().state == "failed" and run.status().error == str(failed.value)
    assert "\n" not in str(failed.value)


def test_whoever_is_killed_leaves_no_work_behind(whole_cluster, apart, monkeypatch):
    run = apart("run", whole_cluster.address, iterations=4000, started=True)
    wait_for(lambda: run.status().state == "running")
    os.kill(run.status().pid, signal.SIGKILL)

    def at_work():
        return [p for w in whole_cluster.workers for p in w.family() if "remote.node_run" in " ".join(p.cmdline())]

    assert at_work()
    wait_for(lambda: not at_work(), 120)


def test_a_killed_worker_leaves_no_files_behind(make_cluster, apart, tmp_path):
    made = make_cluster(TMPDIR=str(tmp_path))
    made.worker("one").wait_for("workers: ")
    run = apart("run", made.address, iterations=4000, started=True)
    wait_for(lambda: run.status().state == "running")
    (left,) = tmp_path.rglob("dfml-run-*")
    (at_work,) = [p for p in made.commands[-1].family() if "remote.node_run" in " ".join(p.cmdline())]
    at_work.parent().kill()  # as for want of memory; its nanny starts another one
    wait_for(lambda: not left.exists())
    assert launcher.stop_and_wait(run), run.status()


def test_a_study_is_done_by_all_workers_and_finds_what_it_finds_here(whole_cluster, tmp_path, apart, patterns):
    apart("unused")
    asked = {"data": [f"{UNSEEN}images"], "shots": (1,), "episodes": 4, "device": "cpu", "seeds": (0, 1)}

    def rows(place, cluster):
        config = AccuracyConfig.parse({**asked, "work": tmp_path / place, "cluster": cluster})
        recipe = METHODS.get("random").preset("demo").override({"width": 4, "test_steps": 2})
        jobs = [
            job_of(config, f"random-seed{seed}", "random", recipe, zoo=f"{UNSEEN}zoo", seed=seed, scenario="SS")
            for seed in config.seeds
        ]
        lines = []
        how = {"side_by_side": 1, "device": "cpu", "cluster": cluster}
        outcomes = dict(do_jobs(jobs, progress=lines.append, **how))
        assert all(finished_rows(job) == outcomes[position]["rows"] for position, job in enumerate(jobs))
        again = dict(do_jobs(jobs, progress=lines.append, **{**how, "cluster": cluster and "tcp://127.0.0.1:1"}))
        assert again == outcomes, "what was measured is not done again, nor is a cluster needed for it"
        alike = {"seed", "shots", "bn", "adapt", "accuracy", "ci95"}
        return [
            {name: row[name] for name in alike} for position in sorted(outcomes) for row in outcomes[position]["rows"]
        ]

    before = [w.said.count(PIECE) for w in whole_cluster.workers]
    there = rows("there", whole_cluster.address)
    assert all(w.said.count(PIECE) > was for w, was in zip(whole_cluster.workers, before, strict=True))
    assert there == rows("here", "") and there
