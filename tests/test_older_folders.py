"""What an older version wrote still lists, opens, measures, goes on and is met; see tests/fixtures/README.md."""

import shutil
from pathlib import Path

import pytest
import torch

from dfml.core.events import Progress
from dfml.runs.folder import RunFolder, find_run, list_runs
from tests.conftest import write_patterns

OLD = Path(__file__).parent / "fixtures" / "2026-11"
TORCH = "2.14.1+cu130"


@pytest.fixture(scope="module")
def old_patterns(tmp_path_factory):
    root = tmp_path_factory.mktemp("older") / "patterns"
    return write_patterns(root, {"train": 6, "val": 5, "test": 5}, per_class=20, size=28, channels=1)


@pytest.fixture
def old(tmp_path, old_patterns, monkeypatch):
    """A copy of the fixture, as the working directory, and its data set beside it."""
    root = Path(shutil.copytree(OLD, tmp_path / "older"))
    shutil.copytree(old_patterns, root / "patterns", ignore=shutil.ignore_patterns(".dfml-cache"))
    monkeypatch.setattr("dfml.runs.jobs.train.TEST_EPISODES", 4)
    monkeypatch.setenv("DFML_RUNS", str(root / "runs"))
    monkeypatch.setenv("DFML_CACHE", str(root / "cache"))
    # Kept recoveries are those of one version of torch.
    monkeypatch.setattr(torch, "__version__", TORCH)
    monkeypatch.chdir(root)
    return root


def test_the_fixture_is_small():
    assert sum(path.stat().st_size for path in OLD.rglob("*") if path.is_file()) < 300_000


def test_older_runs_are_listed_with_their_states(old):
    found = {run.name.split("-")[2]: run for run in list_runs()}
    states = {name: run.status().state for name, run in found.items()}
    assert states == {"finished": "finished", "stopped": "stopped", "inversion": "finished", "random": "finished"}
    assert not [run.problem for run in found.values() if run.problem]
    assert 0 < found["finished"].result()["test_accuracy"] <= 1
    assert found["finished"].scalars()["train/loss"][0] == [1, 2]
    assert len(found["finished"].images()) == 2 and all(i.path.is_file() for i in found["finished"].images())


def test_an_older_zoo_opens_and_is_whole(old):
    from dfml.zoo import open_zoo

    zoo = open_zoo("zoo")
    assert zoo.check() == ["000", "001", "002"]
    assert zoo.teacher(0).logits(torch.zeros(1, 1, 28, 28)).shape == (1, 5)


@pytest.mark.parametrize("which", ["finished", "random"])
def test_an_older_model_opens_and_is_measured(old, which):
    from dfml.data.episodes import EpisodeSampler
    from dfml.data.folders import load_split
    from dfml.meta.evaluation import evaluate
    from dfml.meta.model import MetaModel

    model = MetaModel.load(find_run(which).path / "model")
    sampler = EpisodeSampler(load_split(old / "patterns", "test"), way=5, shot=1, query=2, episodes=2, seed=0)
    assert {row.adapt for row in evaluate(model, sampler)} == {"steps", "centroid", "linear"}


def test_an_older_stopped_run_goes_on_from_its_checkpoint(old):
    from dfml.runs.driver import run_in_process

    steps = []

    def note(event):
        if isinstance(event, Progress) and event.text == "distilling":
            steps.append(event.step)

    result = run_in_process(find_run("stopped"), resume=True, on_event=note)
    assert result["state"] == "finished" and set(steps) == {2}, "the first step was done before"
    assert RunFolder(find_run("stopped").path).scalars()["train/loss"][0] == [1, 2]


def test_older_recoveries_are_met_and_not_made_again(old):
    from dfml.methods import METHODS
    from dfml.training.recovered import recoveries_of
    from dfml.zoo import open_zoo

    cls = METHODS.get("distill")
    recoveries = recoveries_of(
        open_zoo("zoo"), cls.Config.parse(find_run("finished").spec.config), "generator", device=torch.device("cpu")
    )
    before = {path: path.stat().st_mtime_ns for path in (old / "cache").rglob("*.safetensors")}
    for kept in (recoveries, recoveries.plain):
        tasks = list(kept.recover([(name, 0) for name in recoveries.zoo.ids]))[-1].result
        assert [task.teacher_id for task in tasks] == ["000", "001", "002"]
        assert tasks[0].images.shape == (10, 1, 28, 28)
        assert kept.cost["seconds"] == 0 < kept.cost["kept_seconds"]
    after = {path: path.stat().st_mtime_ns for path in (old / "cache").rglob("*.safetensors")}
    assert before == after and len(after) == 6
