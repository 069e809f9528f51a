import pytest
import torch
from safetensors.torch import load_file, save_file

from dfml.core.events import Note, Progress, Scalars
from dfml.core.paths import read_json, write_json
from dfml.training.options import TeacherPolicyConfig
from dfml.training.ours.trust import JUDGING_EPISODES, FeatureRewards
from dfml.training.teacher_policy import TeacherSampler
from dfml.zoo import open_zoo
from dfml.zoo.build.pollute import pollute_zoo, pollution_truth
from dfml.zoo.build.zoo_config import PollutionConfig
from dfml.zoo.listing import DETAILS, WEIGHTS, weights_digest
from tests import conditions
from tests.methods.small import small

WEIGHED = {"teacher_policy": "episodes", "panel": 0, "init": "random", "patience": 1, "consensus": 0}


def weights(events):
    found = [e.values for e in events if isinstance(e, Scalars) and any(k.startswith("reliability/") for k in e.values)]
    return [{k.removeprefix("reliability/"): v for k, v in values.items()} for values in found]


@pytest.mark.parametrize(("entropy", "unit"), [(0.0, 1.0), (0.5, 0.5), (2.0, 2.0)])
def test_weights_are_set_in_standard_deviations_over_the_entropy(entropy, unit):
    sampler = TeacherSampler(["a", "b", "c", "d"], TeacherPolicyConfig(entropy=entropy))
    sampler.settle([0.2, 0.4, 0.2, 0.4])
    found = sampler.weights()
    assert found["b"] / found["a"] == pytest.approx(torch.tensor(2 / unit).exp().item(), rel=1e-4)
    assert found["b"] == found["d"] and sum(found.values()) == pytest.approx(1)
    sampler.settle([0.3] * 4)
    assert set(sampler.weights().values()) == {0.25}


@pytest.fixture
def polluted(tiny_zoo, tmp_path):
    """Three honest teachers and two that see nothing: on such simple patterns fresh weights are worth something."""
    folder = tmp_path / "polluted"
    pollute_zoo(tiny_zoo, folder, PollutionConfig(rate=0.4, attack="fake", seed=conditions.seed(0)))
    truth = pollution_truth(folder)
    for teacher in (folder / name for name, kind in truth.items() if kind == "fake"):
        save_file({key: torch.zeros_like(x) for key, x in load_file(teacher / WEIGHTS).items()}, teacher / WEIGHTS)
        card = read_json(teacher / DETAILS, "card")
        write_json(teacher / DETAILS, {**card, "sha256": weights_digest(teacher)})
    return open_zoo(folder), truth


@pytest.mark.stochastic
def test_deceptive_teachers_weigh_less_and_that_is_side_information(run, polluted, margin):
    zoo, truth = polluted
    *events, done = run(*small("teapot", **WEIGHED, iterations=2), zoo=zoo)
    found = done.result.details["reliability"]
    honest = [found[i] for i, kind in truth.items() if kind == "clean"]
    others = [found[i] for i, kind in truth.items() if kind != "clean"]
    assert len(honest) == 3 and len(others) == 2 and sum(found.values()) == pytest.approx(1)
    margin.at_least("weight of the worst honest over that of the best other", min(honest) / max(others), 1)
    (side,) = [side for side in done.result.details["side_information"] if "labelled validation pictures" in side]
    assert side.endswith(": stop rule and teacher policy")
    assert weights(events)[0] == weights(events)[-1] == found, "they are set once"


def test_teachers_are_weighed_before_the_first_is_asked_and_never_again(run, monkeypatch, tiny_zoo):
    worth, asked = {"000": 0.5, "001": 0.6, "002": 0.1}, []
    monkeypatch.setattr(FeatureRewards, "worth", lambda self, t: asked.append(t) or worth[t])
    monkeypatch.setattr(TeacherSampler, "learn", lambda *_: pytest.fail("nothing is learned"))
    events = run(*small("teapot", **WEIGHED, iterations=6))
    assert asked == tiny_zoo.ids
    texts = [e.text for e in events if isinstance(e, Progress)]
    assert len({text for text in texts[:3]}) == 1 and texts[3].startswith(("recover", "new tasks", "invert"))
    assert events[-1].result.details["reliability"]["002"] < 0.1


def test_a_training_that_goes_on_takes_its_weights_from_the_checkpoint(run, monkeypatch):
    from dfml.core.events import Checkpoint

    monkeypatch.setattr(FeatureRewards, "worth", lambda self, t: {"000": 0.5, "001": 0.6, "002": 0.1}[t])
    method, config = small("teapot", **WEIGHED, iterations=4)
    events = run(method, config)
    middle = next(e for e in events if isinstance(e, Checkpoint) and e.step < 4)
    monkeypatch.setattr(FeatureRewards, "worth", lambda *_: pytest.fail("they were weighed"))
    rest = run(method, config, state=middle.state)
    assert weights(rest)[-1] == weights(events)[-1]
    assert torch.equal(rest[-1].result.params["fc.weight"], events[-1].result.params["fc.weight"])


def test_without_validation_images_nobody_is_weighed_and_it_is_said(run):
    events = run(*small("teapot", **WEIGHED, iterations=2, watch="training"))
    assert not weights(events) and any(isinstance(e, Note) and e.kind == "validation" for e in events)
    assert "reliability" not in events[-1].result.details and JUDGING_EPISODES == 12
