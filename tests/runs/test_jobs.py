"""What each kind of run does, with real methods on a tiny zoo."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Checkpoint, Progress
from dfml.runs import launcher
from dfml.runs.driver import run_in_process
from dfml.runs.folder import RunFolder
from dfml.runs.jobs import JOBS
from dfml.runs.jobs import train as jobs
from dfml.runs.spec import RunSpec


@pytest.fixture(autouse=True)
def short_tests(monkeypatch):
    monkeypatch.setattr(jobs, "TEST_EPISODES", 4)


def spec(**values):
    return RunSpec(**{"kind": "train", "method": "random", "device": "cpu", "threads": 1, **values})


PURER = {
    "iterations": 6, "tasks": 1, "shot": 1, "query": 2, "inner_steps": 1, "width": 4, "warm_up": 2,
    "warm_start": 1, "patience": 1, "validate_every": 3, "validation_episodes": 2, "test_steps": 2,
}  # fmt: skip


def purer(zoo, data):
    from dfml.methods import METHODS

    config = METHODS.get("purer").preset("demo").override(PURER)
    return spec(method="purer", zoo=str(zoo), data=str(data), config=config.model_dump(mode="json"), seed=3)


def test_training_saves_and_tests_the_model(tiny_zoo_folder, patterns):
    from dfml.meta.model import MetaModel

    result = run_in_process(spec(zoo=str(tiny_zoo_folder), data=str(patterns), config={"width": 4}))
    assert result["state"] == "finished" and result["model"] == result["run"] + "/model"
    assert 0 <= result["test_accuracy"] <= 1 and result["ci95"] >= 0 and result["episodes"] == 4
    assert len(result["right"]) == 4 and len(result["episode_list"]) == 64, "it can be paired with another run's"
    assert result["val_accuracy"] is None and (result["shots"], result["bn"]) == (5, "transductive")
    folder = RunFolder(result["run"])
    assert folder.scalars()["test/accuracy"][1] == [result["test_accuracy"]]
    assert MetaModel.load(folder.model).details["method"] == "random"


def test_the_result_tells_who_took_part(zoo_copy, patterns):
    card = zoo_copy / "001" / "dfml.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "access": "queries"}))
    result = run_in_process(spec(method="average", zoo=str(zoo_copy), data=str(patterns), config={"width": 8}))
    told = result["teachers"]
    assert (told["taking_part"], told["of"], told["left_out"][0]["ids"]) == (2, 3, ["001"])
    folder = RunFolder(result["run"])
    assert folder.result()["teachers"] == told
    assert any(note.kind == "left-out" and "001" in note.text for note in folder.notes())
    assert "2 of 3" in (folder.model / "README.md").read_text()
    nobody = run_in_process(spec(zoo=str(zoo_copy), data=str(patterns), config={"width": 4}))
    assert nobody["teachers"] is None, "random weights ask nobody"


def test_unusable_test_data_is_named_before_the_training(tiny_zoo_folder, tmp_path, patterns):
    few = tmp_path / "few" / "test"
    few.mkdir(parents=True)
    os.symlink(next((patterns / "test").iterdir()), few / "one-class")
    with pytest.raises(BadInput, match="has 1 classes"):
        run_in_process(spec(zoo=str(tiny_zoo_folder), data=str(tmp_path / "few")))


def test_without_pictures_to_test_on_the_numbers_are_null(tiny_zoo_folder):
    result = run_in_process(spec(zoo=str(tiny_zoo_folder), config={"width": 4}))
    assert result["test_accuracy"] is None and result["ci95"] is None
    (note,) = RunFolder(result["run"]).notes()
    assert note.text.startswith("not tested: no --data")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "randon"}, "unknown method 'randon'. Did you mean 'random'"),
        ({"config": {"widht": 3}}, "unknown option 'widht'"),
        ({"zoo": "/nowhere"}, "/nowhere"),
        ({"zoo": None}, "--zoo is missing"),
    ],
)
def test_a_bad_order_is_one_clear_line(tiny_zoo_folder, values, message):
    with pytest.raises(BadInput) as failure:
        run_in_process(spec(**{"zoo": str(tiny_zoo_folder), **values}))
    assert message in str(failure.value) and "\n" not in str(failure.value)


def test_a_killed_worker_of_a_real_method_ends_with_the_same_numbers(tiny_zoo_folder, patterns, tools, monkeypatch):
    from dfml.training import context as training
    from dfml.zoo import open_zoo

    # Any network will do as the probe of the diversity.
    monkeypatch.setattr(training, "probe", lambda: open_zoo(tiny_zoo_folder).teacher(0))
    plain = run_in_process(purer(tiny_zoo_folder, patterns))
    assert plain["val_accuracy"] is not None
    code = (
        "import os, signal, sys\n"
        "from dfml.runs import recorder\n"
        "from dfml.runs.jobs import train as jobs\n"
        "from dfml.runs.worker import main\n"
        "from dfml.training import context as training\n"
        "from dfml.zoo import open_zoo\n"
        f"training.probe = lambda: open_zoo({str(tiny_zoo_folder)!r}).teacher(0)\n"
        "jobs.TEST_EPISODES = 4\n"
        "record = recorder.Recorder.record\n"
        "def deadly(self, event, tag=''):\n"
        "    record(self, event, tag)\n"
        "    if type(event).__name__ == 'Scalars' and event.step == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "recorder.Recorder.record = deadly\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    monkeypatch.setattr(launcher, "WORKER", [sys.executable, "-c", code])
    folder = launcher.start(purer(tiny_zoo_folder, patterns))
    tools.wait_for(lambda: not folder.status().active, timeout=150)
    assert folder.status().state == "crashed" and "killed" in folder.status().error, folder.log_tail(20)
    run_in_process(folder, resume=True)
    assert "going on from step 4" in folder.log_tail()
    assert folder.scalars() == RunFolder(plain["run"]).scalars()
    for name in ("test_accuracy", "ci95", "val_accuracy"):
        assert folder.result()[name] == plain[name]


def test_a_run_stopped_while_testing_does_not_train_again(tiny_zoo_folder, patterns, monkeypatch):
    order = spec(zoo=str(tiny_zoo_folder), data=str(patterns), config={"width": 4})

    def stop_in_test(event):
        if isinstance(event, Progress) and event.text.startswith("testing"):
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run_in_process(order, on_event=stop_in_test)
    assert stopped["state"] == "stopped"
    from dfml.methods.baselines import RandomInit

    monkeypatch.setattr(RandomInit, "train", lambda *a, **k: pytest.fail("trained again"))
    result = run_in_process(stopped["run"], resume=True)
    assert result["test_accuracy"] is not None


def test_pretraining_goes_on_with_the_teachers_that_are_missing(patterns, monkeypatch):
    config = {"models": 2, "epochs": 1, "width": 4, "batch": 64}
    order = spec(kind="pretrain", method="fewshot_conv4", data=str(patterns), config=config, seed=5)

    def stop_after_first(event):
        if isinstance(event, Checkpoint):
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run_in_process(order, on_event=stop_after_first)
    assert stopped["state"] == "stopped"
    result = run_in_process(stopped["run"], resume=True)
    assert result["models"] == 2 and 0 <= result["accuracy"] <= 1
    zoo = json.loads((RunFolder(result["run"]).path / "zoo" / "zoo.json").read_text())
    assert zoo["models"] == ["000", "001"] and zoo["recipe"]["config"]["seed"] == 5


def test_a_zoo_with_a_name_comes_among_the_apps_own_and_takes_no_ones_place(patterns):
    from dfml.core.paths import own_zoos
    from dfml.zoo.listing import read_zoo

    config = {"models": 1, "epochs": 1, "width": 4, "batch": 64}
    order = spec(kind="pretrain", method="fewshot_conv4", data=str(patterns), config=config, label="ours")
    for name in ("ours", "ours-2"):
        result = run_in_process(order)
        assert Path(result["zoo"]) == own_zoos() / name and read_zoo(result["zoo"]).name == "ours"
    with pytest.raises(BadInput, match="name"):
        run_in_process(order.model_copy(update={"label": "../ours"}))


def test_every_kind_of_run_has_its_job():
    assert set(get_args(RunSpec.model_fields["kind"].annotation)) == set(JOBS)


def test_a_job_without_a_result_fails(monkeypatch):
    monkeypatch.setitem(JOBS, "train", lambda context: (event for event in [Progress(1, 1)]))
    with pytest.raises(RunFailed, match="ended without a result"):
        run_in_process(spec())


@pytest.mark.cuda
def test_a_run_uses_the_gpu(tiny_zoo_folder):
    order = spec(kind="invert", method="pixels", zoo=str(tiny_zoo_folder), per_class=2, config={"steps": 12})
    gpu = run_in_process(order.model_copy(update={"device": "auto", "teachers": ["0"]}))
    assert gpu["device"].startswith("cuda")
    cpu = run_in_process(order.model_copy(update={"teachers": ["0"]}))
    assert abs(gpu["teacher_accuracy"] - cpu["teacher_accuracy"]) <= 0.2


def test_the_worker_is_a_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dfml.runs.worker", str(tmp_path / "nothing")], capture_output=True, text=True
    )
    assert done.returncode == 2 and "no run at" in done.stderr and "Traceback" not in done.stderr
    assert subprocess.run([sys.executable, "-m", "dfml.runs.worker"], capture_output=True).returncode == 2


def test_a_finished_training_shows_its_own_length_not_the_test_s(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    from dfml.training import context as training
    from dfml.zoo import open_zoo

    monkeypatch.setattr(training, "probe", lambda: open_zoo(tiny_zoo_folder).teacher(0))
    result = run_in_process(purer(tiny_zoo_folder, patterns))
    status = RunFolder(result["run"]).status()
    assert (status.step, status.total) == (6, 6)
