"""The process in which the app looks at models and adds them: it answers, and stops without a trace."""

import json
import time

import pytest
import torch

from dfml.runs.processes import JobProcesses
from dfml.runs.zoo_work import COMMAND
from dfml.ui.zoo.zoo_errand import ZooErrand


def test_a_process_of_its_own_answers_for_each_source_and_says_what_is_wrong(tmp_path):
    sources = [[str(tmp_path / "none.pth"), {}], [str(tmp_path), {}]]
    looks = JobProcesses().do("look", COMMAND, json.dumps({"work": "look", "sources": sources}))
    assert [bool(look["problem"]) for look in looks] == [True, True] and "none.pth" in looks[0]["problem"]
    order = {"work": "add", "sources": [[str(tmp_path), {"mean": []}]], "out": "", "more": 1}
    with pytest.raises(Exception, match="TypeError"):
        JobProcesses().do("add", COMMAND, json.dumps(order))


def wait_until(true):
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_an_addition_that_is_stopped_leaves_nothing(tmp_path):
    from tests.zoo.foreign_teachers import network

    torch.save(network("test_resnet", 0, (3, 32, 32), num_classes=4).state_dict(), tmp_path / "a.pth")
    stated = {"input_size": [32, 32], "mean": [0.5], "std": [0.5], "crop_pct": 1.0}
    sources = [[str(tmp_path / "a.pth"), {**stated, "id": f"a{number}"}] for number in range(200)]
    errand = ZooErrand(work="add", sources=sources, out=str(tmp_path / "zoos" / "mine"))
    wait_until(lambda: errand.progress()[0])
    assert [path.name.startswith(".mine") for path in (tmp_path / "zoos").iterdir()] == [True]
    errand.stop()
    wait_until(lambda: errand.outcome is not None)
    assert "problem" in errand.outcome and not (tmp_path / "zoos").exists()
