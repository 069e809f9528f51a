import shutil

import pytest

from dfml.bench import dro_adaptation
from dfml.bench.dro_adaptation import candidates_table, choose_adaptation
from dfml.core.errors import BadInput
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.evaluation import accuracy_after_steps, evaluate
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import new_meta_model


@pytest.fixture
def choose(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    """The choice on the tiny zoo, with little to measure."""
    for name, value in (("SHOT", 2), ("QUERY", 3), ("EPISODES", 3)):
        monkeypatch.setattr(dro_adaptation, name, value)

    def call(**changes):
        wanted = {
            "data": str(patterns), "width": 8, "preset": "demo", "rates": (0.01, 0.3), "steps": (1, 4), "jobs": 1,
            "kept": tmp_path / "kept.json", "progress": lambda line: None, **changes,
        }  # fmt: skip
        return choose_adaptation({5: tiny_zoo_folder}, **wanted)

    return call


def test_one_descent_gives_what_as_many_steps_of_an_evaluation_give(patterns):
    learner = make_learner("maml", LearnerConfig(inner_lr=0.1))
    about = {"shape": (3, 32, 32), "way": 5, "mean": [0.5] * 3, "std": [0.25] * 3, "width": 8, "seed": 1}
    model = new_meta_model("fewshot_conv4", **about, learner=learner, adapt_steps=1, details={})
    sampler = EpisodeSampler(load_split(patterns, "val"), way=5, shot=2, query=5, episodes=4, seed=0)
    found = accuracy_after_steps(model, sampler, [1, 4])
    for steps, accuracy in found.items():
        model.adapt_steps = steps
        (row,) = evaluate(model, sampler, bn=["transductive"], adapt=["steps"])
        assert accuracy == pytest.approx(row.accuracy, abs=1e-6)
    assert found[1] != found[4]


def test_the_best_candidate_is_chosen_once_by_what_is_not_dro(choose, monkeypatch):
    rate, steps, rows = choose()
    assert {row["method"] for row in rows} == {"random", "average"} and len(rows) == 2 * 2 * 2
    mean = {(r, s): dro_adaptation.mean_accuracy(rows, r, s) for r in (0.01, 0.3) for s in (1, 4)}
    assert mean[rate, steps] == max(mean.values()) > min(mean.values())
    assert candidates_table(rows).splitlines()[2].startswith(f"| {rate:g} | {steps} |")
    measure = dro_adaptation._measured
    monkeypatch.setattr(dro_adaptation, "_measured", None)
    assert choose() == (rate, steps, rows), "kept for the next call"
    monkeypatch.setattr(dro_adaptation, "_measured", measure)
    assert {row["test_steps"] for row in choose(steps=(2,))[2]} == {2}, "another question is answered anew"


def test_without_validation_classes_both_must_be_given(choose, patterns, tmp_path):
    shutil.copytree(patterns / "test", tmp_path / "other" / "train")
    with pytest.raises(BadInput, match="no split 'val'.*--set inner_lr=0.1 --set test_steps=20"):
        choose(data=str(tmp_path / "other"))
