"""Every study hands its jobs to the cluster that it is asked to use; what becomes of them there is tested elsewhere."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import dfml.bench
from dfml.bench import paper_scenarios, study
from dfml.bench.ablations import ablation_study
from dfml.bench.accuracy.comparison import bench_accuracy
from dfml.bench.job import failure
from dfml.bench.scenarios import Scenario
from dfml.bench.study_config import AccuracyConfig, StudyConfig

ADDRESS = "tcp://127.0.0.1:1"


def accuracy(shared, tiny):
    return bench_accuracy(AccuracyConfig(**shared, zoo=tiny, methods=("random", "average"), shots=(1,)))


def ablations(shared, tiny):
    arms = ("published", "online")
    config = ablation_study.AblationConfig(**shared, zoo=tiny, methods=("dro",), arms=arms, seeds=(0,), shots=(1,))
    return ablation_study.bench_ablations(config)


def scenarios(shared, tiny):
    chosen = {"settings": ("SS",), "methods": ("random", "average"), "shots": (1,)}
    return paper_scenarios.bench_scenarios(paper_scenarios.ScenariosConfig(**shared, **chosen))


@pytest.mark.parametrize("bench", [accuracy, ablations, scenarios], ids=lambda bench: bench.__name__)
def test_a_study_hands_all_its_jobs_to_the_cluster(bench, tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    given = []

    class Cluster:
        running = ()

        def __init__(self, address, work):
            assert (address, work) == (ADDRESS, study.do_there)

        def outcome_of(self, job):
            given.append(job.label)
            return failure("failed", "as the test wants it")

        def stop(self):
            pass

    def never(*args, **more):
        raise AssertionError("a job was done here")

    monkeypatch.setattr(study, "OnCluster", Cluster)
    monkeypatch.setattr(study, "outcome_of", never)
    monkeypatch.setattr(ablation_study, "_minutes", lambda *args: [])
    monkeypatch.setattr(
        paper_scenarios, "set_up", lambda asked, progress: Scenario("tiny", {(None, 0): str(tiny_zoo_folder)})
    )
    shared = {
        "data": str(patterns), "episodes": 2, "device": "cpu", "cluster": ADDRESS, "work": tmp_path / "work",
        "out": tmp_path / "out", "command": "python -m dfml bench",
    }  # fmt: skip
    found = bench(shared, str(tiny_zoo_folder))
    assert len(given) == len(found["failures"]) == 2


def test_every_config_of_a_study_of_whole_runs_offers_a_cluster():
    root = Path(dfml.bench.__file__).parent
    files = [path for path in root.rglob("*.py") if re.search(r"\((Study|Accuracy)Config\)", path.read_text("utf-8"))]
    for path in files:
        import_module(".".join(("dfml.bench", *path.relative_to(root).with_suffix("").parts)))
    every = [*StudyConfig.__subclasses__(), *AccuracyConfig.__subclasses__()]
    found = [config for config in every if "set_" in config.options.split()]  # those that train
    assert len(files) >= 5 and len(found) >= 5
    for config in found:
        assert "cluster" in config.options.split(), config.__name__
