"""Runs written by hand, in every state, so that pages are tested without training anything."""

import math
import os
import shutil

import numpy as np
import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import app_test

from dfml.core.events import Images, Note, Progress, Scalars
from dfml.core.paths import REPOSITORY, write_json
from dfml.runs import liveness
from dfml.runs.folder import RunFolder
from dfml.runs.recorder import Recorder
from dfml.runs.spec import RunSpec


def fake_training(root, *, state="finished", label="", seed=0, steps=60, error=None, zoo="cifar-fs-conv4"):
    """A meta-training run with curves, adversarial marks and pictures."""
    spec = RunSpec(kind="train", method="purer", zoo=zoo, seed=seed, label=label, config={"iterations": steps})
    run = RunFolder.create(spec, root=root)
    rng = np.random.default_rng(seed)
    alive = {"pid": os.getpid(), "process": liveness.start_token(os.getpid()), "host": liveness.HOST}
    with Recorder(
        run.path, {"state": "running", "device": "cpu", "device_reason": "no GPU was found", **alive}
    ) as recorder:
        recorder.begin(device="cpu", device_reason="no GPU was found")
        done = steps if state == "finished" else steps // 2
        for step in range(1, done + 1):
            rise = 1 - math.exp(-3 * step / steps)
            recorder.record(Progress(step, steps, "inverting and meta-training"))
            loss = 1.7 - rise + 0.1 * rng.standard_normal()
            recorder.record(Scalars(step, {"train/loss": loss, "train/accuracy": min(1, 0.2 + 0.7 * rise)}))
            recorder.record(Scalars(step, {"inversion/ce": 2 - 1.9 * rise, "inversion/bn": 5 - 4 * rise}))
            if step % 10 == 0:
                recorder.record(Scalars(step, {"val/accuracy": 0.2 + 0.35 * rise, "val/ci95": 0.03}))
                recorder.record(Scalars(step, {"tasks/diversity": 0.3 + 0.1 * rise}))
                pictures = rng.random((25, 3, 32, 32)).astype(np.float32)
                recorder.record(Images(step, "train/pictures", pictures, [i // 5 for i in range(25)]))
            if step % 17 == 0:
                recorder.record(Note(step, f"adversarial step {step // 17}", kind="adversarial"))
        end = {"state": state, "step": done, "total": steps, "error": error, "text": ""}
        if state == "crashed":
            end = {**end, "state": "running", "pid": 2**22 + 1, "process": "none"}
        recorder.set_status(**end)
    if state == "finished":
        write_json(run.path / "result.json", {"test_accuracy": 0.5678, "ci95": 0.012, "val_accuracy": 0.55})
    return run


def fake_recovery(
    root,
    *,
    state="finished",
    teacher="000",
    zoo="cifar-fs-conv4",
    classes=("apple", "bee"),
    per_class=6,
    method="pixels",
    group="",
):
    """A recovery with loss curves and stored pictures."""
    from safetensors.numpy import save_file

    label = f"{method}: teacher {teacher} of {zoo}"
    order = {"zoo": zoo, "teachers": [teacher], "per_class": per_class, "label": label, "group": group}
    spec = RunSpec(kind="invert", method=method, config={"steps": 30}, **order)
    run = RunFolder.create(spec, root=root)
    rng = np.random.default_rng(0)
    labels = [i // per_class for i in range(per_class * len(classes))]
    images = rng.random((len(labels), 3, 32, 32)).astype(np.float32)
    alive = {"pid": os.getpid(), "process": liveness.start_token(os.getpid()), "host": liveness.HOST}
    with Recorder(run.path, {"state": "running", **alive}) as recorder:
        recorder.begin(device="cpu", device_reason="no GPU was found")
        for step in range(1, 31):
            recorder.record(Progress(step, 30, f"teacher {teacher}"))
            recorder.record(
                Scalars(step, {"inversion/ce": 2 / step, "inversion/bn": 9 / step, "inversion/tv": 0.1}), tag=teacher
            )
        for step in (1, 10, 20, 30):
            recorder.record(Images(step, f"recovered/{teacher}", images, labels), tag=teacher)
        recorder.set_status(state=state, step=30, total=30)
    if state == "finished":
        folder = run.path / "recovered" / teacher
        folder.mkdir(parents=True)
        save_file({"images": images, "labels": np.array(labels)}, folder / "pictures.safetensors")
        report = {
            "teacher": teacher,
            "zoo": zoo,
            "classes": list(classes),
            "method": method,
            "steps": 30,
            "teacher_accuracy": 0.98,
        }
        report |= {"judge_agreement": None, "seconds": 11.2, "reference_seconds": 6.0, "images": len(labels)}
        write_json(folder / "report.json", {**report, "per_class": per_class})
        write_json(run.path / "result.json", report)
    return run


@pytest.fixture(autouse=True)
def _warm_server(monkeypatch):
    """Pages open as on a server that has shown one before; AppTest would begin every run as on a fresh one."""
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)
    monkeypatch.setattr(app_test, "PagesManager", type("Warm", (PagesManager,), {}))


@pytest.fixture(autouse=True)
def _embedded_zoo(tiny_zoo_folder, tmp_path, monkeypatch):
    """The pages find one embedded zoo, the tiny one, under the name of the real one."""
    assets = tmp_path / "assets"
    shutil.copytree(tiny_zoo_folder, assets / "zoos" / "cifar-fs-conv4")
    for module in ("dfml.zoo.listing", "dfml.ui.adaptation.choose_images", "dfml.runs.spec", "dfml.zoo.zoo"):
        monkeypatch.setattr(f"{module}.ASSETS", assets)
    shutil.copytree(REPOSITORY / "assets" / "support-sets", assets / "support-sets")
    monkeypatch.setattr("dfml.runs.recorded.MODELS", assets / "models")  # none, unless a test makes one


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """An empty folder of runs that the app reads."""
    root = tmp_path / "runs"
    root.mkdir()
    monkeypatch.setenv("DFML_RUNS", str(root))
    return root


@pytest.fixture
def training():
    """Writes a meta-training run."""
    return fake_training


@pytest.fixture
def recovery():
    """Writes a recovery run."""
    return fake_recovery
