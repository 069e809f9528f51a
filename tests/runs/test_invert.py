"""What a run of kind ``invert`` does, with a real inverter on a tiny zoo."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch

from dfml.core.errors import BadInput, RunFailed, StopRequested
from dfml.core.events import Checkpoint, Scalars
from dfml.reports import privacy
from dfml.reports.recovery import Recovery
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.jobs import train as jobs
from dfml.runs.recorder import Recorder
from dfml.runs.spec import JobContext, RunSpec


@pytest.fixture(autouse=True)
def short_tests(monkeypatch):
    monkeypatch.setattr(jobs, "TEST_EPISODES", 4)


def spec(**values):
    return RunSpec(**{"kind": "train", "method": "random", "device": "cpu", "threads": 1, **values})


def test_inversion_keeps_finished_teachers_over_a_stop(tiny_zoo_folder):
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=2, config={"steps": 12}, teachers=["0", "1"]
    )
    plain = run_in_process(order)
    assert [report["teacher"] for report in plain["teachers"]] == ["000", "001"]
    assert plain["images"] == 20 and plain["queries"] > 0 and 0 <= plain["teacher_accuracy"] <= 1
    assert plain["reference_seconds"] > 0 and plain["seconds"] > 0
    folder = RunFolder(plain["run"])
    assert {i.tag for i in folder.images()} == {"recovered/000", "recovered/001"}
    assert (folder.path / "recovered" / "001" / "grid.png").exists()
    kept = Recovery.load(folder.path / "recovered" / "001")
    hits = [
        first == label for first, label in zip(kept.each["teacher"]["first"], kept.task.labels.tolist(), strict=True)
    ]
    assert sum(hits) / len(hits) == kept.report["teacher_accuracy"]
    assert kept.report["peak_memory_mib"] > 10 and kept.report["device_name"]
    steps = folder.scalars()["inversion/ce"][0]
    assert steps == sorted(steps) and steps[-1] == 24
    assert folder.scalars(tag="001")["inversion/ce"][0][0] == 13

    def stop_in_second(event):
        if isinstance(event, Scalars) and event.step == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run_in_process(order, on_event=stop_in_second)
    assert stopped["state"] == "stopped"
    report = RunFolder(stopped["run"]).path / "recovered" / "000" / "report.json"
    before = report.stat().st_mtime_ns
    result = run_in_process(stopped["run"], resume=True)
    assert report.stat().st_mtime_ns == before
    assert result["teacher_accuracy"] == plain["teacher_accuracy"] and result["queries"] == plain["queries"]
    curves, expected = RunFolder(stopped["run"]).scalars(), folder.scalars()
    for name in ("inversion/ce", "inversion/bn", "inversion/teacher_accuracy"):
        assert curves[name] == expected[name]


@pytest.mark.parametrize("lost", [0, 1])
def test_an_inversion_that_died_between_report_and_checkpoint_keeps_whole_curves(tiny_zoo_folder, monkeypatch, lost):
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 10}, teachers=["0", "1"]
    )
    plain = run_in_process(order)
    record, seen = Recorder.record, []

    def deadly(self, event, tag=""):
        if isinstance(event, Checkpoint):
            seen.append(event)
            if len(seen) == lost + 1:
                raise ValueError("the lights went out")
        record(self, event, tag)

    monkeypatch.setattr(Recorder, "record", deadly)
    folder = RunFolder.create(order)
    with pytest.raises(RunFailed, match="lights"):
        run_in_process(folder)
    assert (folder.path / "recovered" / f"00{lost}" / "report.json").exists()
    monkeypatch.undo()
    result = run_in_process(folder, resume=True)
    assert [report["teacher"] for report in result["teachers"]] == ["000", "001"]
    expected, curves = RunFolder(plain["run"]).scalars(), folder.scalars()
    for name in ("inversion/ce", "inversion/teacher_accuracy"):
        assert curves[name] == expected[name]


def test_a_damaged_teacher_among_many_is_left_out_and_named(zoo_copy):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"rubbish")
    order = spec(kind="invert", method="pixels", zoo=str(zoo_copy), per_class=1, config={"steps": 10})
    result = run_in_process(order)
    assert [report["teacher"] for report in result["teachers"]] == ["000", "002"]
    assert "001" in result["problems"]
    with pytest.raises(BadInput, match="001"):
        run_in_process(order.model_copy(update={"teachers": ["001"]}))


def test_pictures_can_be_recovered_against_a_meta_model(tiny_zoo_folder, patterns, tmp_path):
    model = run_in_process(spec(zoo=str(tiny_zoo_folder), data=str(patterns), config={"width": 4}))["model"]
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 3}, teachers=["0"]
    )
    plain = run_in_process(order)
    apart = run_in_process(order.model_copy(update={"against": model, "against_weight": 5.0}))
    assert "inversion/extra" in RunFolder(apart["run"]).scalars()
    assert "inversion/extra" not in RunFolder(plain["run"]).scalars()
    with pytest.raises(BadInput, match="no meta-model"):
        run_in_process(order.model_copy(update={"against": str(tiny_zoo_folder / "000")}))


@pytest.mark.parametrize("size", [2, 8])
def test_teachers_recovered_together_lose_none_to_a_damaged_one(zoo_copy, monkeypatch, size):
    """On a GPU teachers are recovered in groups; here the group's rule is tried on the CPU."""

    from dfml.runs.jobs import invert as inverting

    (zoo_copy / "001" / "model.safetensors").write_bytes(b"rubbish")
    monkeypatch.setattr(inverting, "TOGETHER", size)

    class Gpu:
        """Says that it is one and computes on the CPU."""

        type = "gpu"

    monkeypatch.setattr(torch, "device", lambda device: torch.zeros(0).device)
    order = spec(kind="invert", method="pixels", zoo=str(zoo_copy), per_class=1, config={"steps": 2})
    folder = RunFolder.create(order)
    context = JobContext(order, folder.path, Gpu(), None, lambda event: None)
    *events, done = inverting.invert(context)
    assert [report["teacher"] for report in done.result["teachers"]] == ["000", "002"]
    assert list(done.result["problems"]) == ["001"]


def test_a_teacher_whose_recovery_diverges_is_left_out_of_a_whole_zoo(tiny_zoo_folder, monkeypatch):
    from dfml.core.errors import NotFinite
    from dfml.inversion import pipeline

    recover = pipeline.recover_teachers

    def diverges(recipe, teachers):
        if "001" in teachers:
            raise NotFinite("the recovery's loss is not a number")
        yield from recover(recipe, teachers)

    monkeypatch.setattr(pipeline, "recover_teachers", diverges)
    order = spec(kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 2})
    result = run_in_process(order)
    assert [report["teacher"] for report in result["teachers"]] == ["000", "002"]
    assert "not a number" in result["problems"]["001"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_group_that_memory_cannot_hold_is_tried_again_in_halves(error):
    from dfml.inversion.pipeline import after_failure

    assert after_failure(error, ["a", "b", "c"], ()) == ([], [["a"], ["b"], ["c"]])
    assert after_failure(error, ["a"], ()) == (["a"], [])


def test_seconds_are_those_of_the_recovery_not_of_who_looks_at_it(tiny_zoo_folder, monkeypatch):
    looked = []
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + 100 * len(looked))
    monkeypatch.setattr("dfml.inversion.pipeline.time", clock)
    order = spec(kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 5})
    one = order.model_copy(update={"teachers": ["0"]})
    # As if whoever looks took 100 s for each event.
    report = run_in_process(one, on_event=looked.append)["teachers"][0]
    assert (
        len(looked) > 5
        and report["seconds"] < 50
        and report["cost"]["seconds"] == pytest.approx(report["seconds"], abs=0.01)
    )


def test_a_bill_above_the_budget_is_refused_before_the_first_question(tiny_zoo_folder):
    order = spec(
        kind="invert", method="generator", zoo=str(tiny_zoo_folder), per_class=1, teachers=["0"],
        config={"steps": 4, "width": 8}, oracle={"oracle": "zeroth-order", "q": 3, "budget": 84},
    )  # fmt: skip
    with pytest.raises(BadInput, match="asks 85 images .* the budget is 84"):
        run_in_process(order)
    enough = order.model_copy(update={"oracle": {"oracle": "zeroth-order", "q": 3, "budget": 85}})
    assert run_in_process(enough)["queries"] == 85


def test_unusable_real_pictures_cost_the_privacy_report_and_not_the_recovery(tiny_zoo_folder, tmp_path):
    (tmp_path / "empty" / "train").mkdir(parents=True)
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 2}, teachers=["0"],
        data=str(tmp_path / "empty"),
    )  # fmt: skip
    result = run_in_process(order)
    assert result["state"] == "finished" and result["images"] == 5
    privacy = result["teachers"][0]["privacy"]
    assert privacy["level"] is None and privacy["verdict"].startswith("no privacy report: ")
    assert (RunFolder(result["run"]).path / "recovered" / "000" / "report.json").exists()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"), ValueError("odd"), KeyError(3)],
)
def test_a_privacy_report_that_fails_costs_nothing_else_and_is_said_once(tiny_zoo_folder, monkeypatch, error):
    def fails(*args):
        raise error

    monkeypatch.setattr(privacy, "privacy_report", fails)
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 2}, teachers=["0"],
        data="somewhere",
    )  # fmt: skip
    result = run_in_process(order)
    folder, reason = RunFolder(result["run"]), " ".join(str(error).split()) or "MemoryError"
    assert result["state"] == "finished" and result["images"] == 5
    stored = Recovery.load(folder.path / "recovered" / "000")
    assert len(stored.task.images) == 5 and reason in stored.report["privacy"]["verdict"]
    (note,) = [note for note in folder.notes() if note.kind == "problem"]
    assert "000" in note.text and reason in note.text and "\n" not in note.text


def test_a_stop_during_the_privacy_report_stops_the_run(tiny_zoo_folder, monkeypatch):
    def stopped(*args):
        raise StopRequested("stopped on request.")

    monkeypatch.setattr(privacy, "privacy_report", stopped)
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 2}, teachers=["0"],
        data="somewhere",
    )  # fmt: skip
    assert run_in_process(order)["state"] == "stopped"


def test_membership_tests_that_fail_leave_the_distances(tiny_zoo_folder, patterns, monkeypatch):
    def fails(*args, **more):
        raise ValueError("odd answers")
        yield

    monkeypatch.setattr("dfml.reports.membership.teacher_membership", fails)
    order = spec(
        kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=1, config={"steps": 2}, teachers=["0"],
        data=str(patterns),
    )  # fmt: skip
    result = run_in_process(order)
    folder, told = RunFolder(result["run"]), result["teachers"][0]["privacy"]
    kept = json.loads((folder.path / "recovered" / "000" / "privacy.json").read_text())
    assert result["state"] == "finished" and told["level"] == kept["level"] and kept["spaces"]
    assert told["verdict"] == kept["verdict"] and not kept["membership"]
    assert "odd answers" in told["membership"][0]
    (note,) = [note for note in folder.notes() if note.kind == "problem"]
    assert "odd answers" in note.text
