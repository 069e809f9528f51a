import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest

from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec

WORKER = Path(__file__).with_name("fake_worker.py")


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """Runs and queues of each test lie in its own folder."""
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(launcher, "WORKER", [sys.executable, str(WORKER)])


@pytest.fixture
def fake():
    """The fake training, in this process."""
    spec = importlib.util.spec_from_file_location("fake_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    undo = module.install()
    yield module
    undo()


@pytest.fixture
def started():
    """Start runs in workers; whatever is left at the end is stopped."""
    folders = []

    def start(**config):
        extra = {key: config.pop(key) for key in ("seed", "label", "device") if key in config}
        folder = launcher.start(order(config, **extra))
        folders.append(folder)
        return folder

    yield start
    for folder in folders:
        if folder.status().active:
            launcher.stop_and_wait(folder, timeout=10)


def order(config, **extra):
    return RunSpec(
        kind="train", method="purer", zoo="somewhere", config=config, threads=1, **{"device": "cpu", **extra}
    )


def wait_for(condition, timeout=60.0):
    """Wait until ``condition()`` is true; returns its value."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.03)
    raise AssertionError("waited in vain")


def wait_for_state(folder: RunFolder, *states: str):
    """Wait until the run is in one of the states; it fails at once where the run ended in another."""

    def arrived():
        status = folder.status()
        if status.state in states:
            return status
        assert status.active, f"{status.state}: {status.error}"

    return wait_for(arrived)


def metrics(folder: RunFolder):
    """What the metrics say, without the times."""
    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("time", "seconds")} for line in lines]


@pytest.fixture
def tools():
    """Functions that the tests share."""

    class Tools:
        pass

    for function in (order, wait_for, wait_for_state, metrics):
        setattr(Tools, function.__name__, staticmethod(function))
    return Tools
