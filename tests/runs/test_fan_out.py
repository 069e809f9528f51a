"""A zoo recovered by several processes: the same pictures, nothing lost, nothing hung."""

import os
import signal
from contextlib import suppress

import psutil
import pytest
import torch

from dfml.core.errors import RunFailed
from dfml.core.events import Progress
from dfml.inversion import INVERTERS
from dfml.inversion.recipe import Recipe
from dfml.reports.recovery import Recovery
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.jobs import invert as inverting
from dfml.runs.jobs import recover_apart
from dfml.runs.spec import RunSpec


@pytest.fixture(autouse=True)
def fan_out_at_two(monkeypatch):
    monkeypatch.setattr(inverting, "FAN_OUT_FROM", 2)


def order(zoo, threads=2, method="pixels", **config):
    config = config or {"steps": 12}
    return RunSpec(
        kind="invert", method=method, zoo=str(zoo), per_class=2, config=config, threads=threads, device="cpu", seed=4
    )


def pictures(result, teacher):
    return Recovery.load(RunFolder(result["run"]).path / "recovered" / teacher).task.images


def test_processes_recover_the_same_pictures_as_one_after_another(tiny_zoo_folder):
    seen = []
    apart = run_in_process(order(tiny_zoo_folder), on_event=seen.append)
    in_turn = run_in_process(order(tiny_zoo_folder, threads=1))
    assert [r["teacher"] for r in apart["teachers"]] == [r["teacher"] for r in in_turn["teachers"]]
    for teacher in ("000", "001", "002"):
        assert torch.equal(pictures(apart, teacher), pictures(in_turn, teacher))
    folder = RunFolder(apart["run"])
    assert len(folder.scalars()["inversion/ce"][0]) == len(RunFolder(in_turn["run"]).scalars()["inversion/ce"][0])
    assert not (folder.path / recover_apart.PROGRESS).exists()
    assert any(isinstance(e, Progress) and "teachers recovered" in e.text for e in seen)


def test_a_damaged_teacher_is_left_out_and_named(zoo_copy):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"rubbish")
    result = run_in_process(order(zoo_copy))
    assert [report["teacher"] for report in result["teachers"]] == ["000", "002"]
    assert "001" in result["problems"]


def test_processes_take_the_warmed_up_generator(tiny_zoo_folder):
    config = {"warm_up": 2, "latent": 8, "width": 8, "per_class": 2, "teachers": 2}
    result = run_in_process(order(tiny_zoo_folder, method="meta-generator", **config))
    assert len(result["teachers"]) == 3
    for report in result["teachers"]:
        assert report["warm_up"]["steps"] == 2 and report["warm_up"]["met_the_asked"]


def test_helpers_of_the_shared_set_take_part_in_every_process(tiny_zoo_folder):
    result = run_in_process(order(tiny_zoo_folder, method="dynamic-set", steps=3, others=1))
    # Six passes: three steps of the teacher and its helper; the zoo's teachers share classes.
    assert [report["passes"] for report in result["teachers"]] == [6, 6, 6]


def busy():
    """Processes that compute at three looks in a row: one that was just ended may still look so at the first."""
    found = psutil.Process().children(recursive=True)
    for _ in range(3):
        looked, found = found, []
        for process in looked:
            with suppress(psutil.NoSuchProcess):
                if process.cpu_percent(0.3) > 50:
                    found.append(process)
    return found


@pytest.mark.slow
def test_stopping_ends_the_processes_and_resuming_does_the_rest(tiny_zoo_folder):
    wanted = order(tiny_zoo_folder, steps=1000)

    def stop(event):
        if isinstance(event, Progress) and "of 3 teachers recovered" in event.text and event.step:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run_in_process(wanted, on_event=stop)
    assert stopped["state"] == "stopped"
    assert not busy(), "recoveries go on after the run was stopped"
    folder = RunFolder(stopped["run"])
    quick = folder.path / "spec.json"
    quick.write_text(quick.read_text().replace('"steps": 1000', '"steps": 4'))
    result = run_in_process(folder, resume=True)
    assert len(result["teachers"]) == 3


def test_a_process_that_dies_fails_the_run_in_one_line_and_keeps_the_rest(tiny_zoo_folder, monkeypatch):
    monkeypatch.setattr(recover_apart, "_recover_one", _die)
    with pytest.raises(RunFailed, match="process that recovered teachers died"):
        run_in_process(order(tiny_zoo_folder))


def _die(*args):
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_marks_of_teachers_that_ended_go_and_count_no_more(tmp_path):
    for name, parts in {"done": "100", "half": "50", "unwritten": ""}.items():
        (tmp_path / name).write_text(parts)
    assert recover_apart._told(tmp_path, {"done"}) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "unwritten"]


def test_a_process_reads_the_cards_once_for_all_pieces_of_one_work(tiny_zoo):
    recipe = Recipe(tiny_zoo, INVERTERS.get("pixels")(), 2)
    args = recipe.for_workers()
    first = args.open()
    assert args.open().zoo is first.zoo and args.open().inverter is not first.inverter
    assert recipe.for_workers().open().zoo is not first.zoo, "another run sees what has changed meanwhile"
