import shutil

import pytest

from dfml.bench.accuracy.step_choice import accuracy_after_steps
from dfml.bench.dro_paper import choose_adaptation as dro_adaptation
from dfml.bench.dro_paper.choose_adaptation import candidates_table, check_validation, choose_adaptation
from dfml.bench.study_config import DroProtocolConfig
from dfml.core.errors import BadInput
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.choices import at_the_edge
from dfml.meta.evaluation import evaluate
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import new_meta_model
from dfml.runs.lab.sweep import configs_of


@pytest.fixture
def choose(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    """The choice on the tiny zoo, with little to measure."""
    for name, value in (("SHOT", 2), ("QUERY", 3), ("EPISODES", 3), ("WIDTH", 8), ("PRESET", "demo")):
        monkeypatch.setattr(dro_adaptation, name, value)
    monkeypatch.setattr(dro_adaptation, "RATES", (0.01, 0.3))
    monkeypatch.setattr(dro_adaptation, "STEPS", (1, 4))

    def call(*changes):
        config = DroProtocolConfig(data=str(patterns), changes=changes)
        configs = configs_of(dro_adaptation.CHOSEN_BY, dro_adaptation.PRESET, config.changes)
        about = {"kept": tmp_path / "kept.json", "progress": lambda line: None}
        return choose_adaptation({5: tiny_zoo_folder}, config, configs, **about)

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
        assert accuracy == pytest.approx((row.accuracy, row.ci95), abs=1e-6)
    assert found[1] != found[4]


def test_the_best_candidate_is_chosen_once_by_what_is_not_dro(choose, monkeypatch):
    rate, steps, rows = choose()
    assert {row["method"] for row in rows} == {"random", "average"} and len(rows) == 2 * 2 * 2
    mean = {(r, s): dro_adaptation.candidate_accuracy(rows, r, s) for r in (0.01, 0.3) for s in (1, 4)}
    assert mean[rate, steps] == max(mean.values()) > min(mean.values())
    assert candidates_table(rows).splitlines()[2].startswith(f"| {rate:g} | {steps} |")
    monkeypatch.setattr(dro_adaptation, "_measured", None)
    assert choose() == (rate, steps, rows), "kept for the next call"


def test_each_measurement_is_kept_and_another_question_is_answered_anew(choose, monkeypatch):
    measure, asked = dro_adaptation._measured, []

    def measured(*about):
        asked.append(about)
        if len(asked) == 3:
            raise RuntimeError("killed")
        return measure(*about)

    monkeypatch.setattr(dro_adaptation, "_measured", measured)
    with pytest.raises(RuntimeError):
        choose()
    asked += [None]
    choose()
    assert len(asked) - 4 == 4 - 2, "two of four were kept"
    for other, preset in ((["test_steps=2"], "demo"), (["head=average"], "demo"), ([], "paper")):
        before = len(asked)
        monkeypatch.setattr(dro_adaptation, "PRESET", preset)
        choose(*other)
        assert len(asked) == before + 4
    monkeypatch.setattr(dro_adaptation, "EPISODES", 2)
    choose()
    assert len(asked) == before + 8


def test_it_is_chosen_for_the_options_of_the_runs(choose, monkeypatch):
    seen = []

    def accuracies(model, sampler, steps):
        seen.append(model.learner.name)
        return dict.fromkeys(steps, (0.5, 0.1))

    monkeypatch.setattr("dfml.bench.accuracy.step_choice.accuracy_after_steps", accuracies)
    choose("learner=anil", "head=average")
    assert seen == 4 * ["anil"]
    rates = {row["inner_lr"] for row in choose("inner_lr=0.05")[2]}
    assert rates == {0.05} and seen[4:] == 2 * ["maml"]


def test_alone_it_keeps_the_commands_threads(choose, monkeypatch):
    monkeypatch.setattr("dfml.nets.device.use_threads", lambda count: pytest.fail("threads were set"))
    choose()


def test_what_lies_beside_an_outermost_choice_was_not_tried():
    rows = [{"inner_lr": r, "test_steps": s} for r in (0.1, 0.2, 0.3) for s in (1, 2, 3)]
    assert at_the_edge(rows, 0.3, 2) and at_the_edge(rows, 0.2, 1) and not at_the_edge(rows, 0.2, 2)
    assert not at_the_edge([r for r in rows if r["test_steps"] == 1], 0.2, 1), "it was given"


def test_without_validation_classes_both_must_be_given(patterns, tmp_path):
    shutil.copytree(patterns / "test", tmp_path / "other" / "train")
    with pytest.raises(BadInput, match="no split 'val'.*--set inner_lr=0.1 --set test_steps=20"):
        check_validation(str(tmp_path / "other"), [5], None, None)
    with pytest.raises(BadInput, match="need 25 .*--set inner_lr=0.1 --set test_steps=20"):
        check_validation(str(patterns), [5, 1000], None, None)
