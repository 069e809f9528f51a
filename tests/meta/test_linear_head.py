"""Logistic regression on frozen features as a way of adapting."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dfml.meta.adaptation import adapt, adapted_task
from dfml.meta.calibration import Icfil
from dfml.meta.evaluation import evaluate
from dfml.meta.learners import HEAD, extract_features
from dfml.meta.linear_head import logistic_regression
from tests.meta.small import sampler, tiny_model


@pytest.mark.parametrize(("images", "width", "way", "apart"), [(5, 60, 5, 2.0), (25, 60, 5, 0.5), (90, 20, 9, 1.0)])
def test_the_layer_is_the_one_that_scikit_learn_finds(images, width, way, apart):
    drawn = torch.Generator().manual_seed(0)
    labels = torch.arange(way).repeat_interleave(images // way)
    middles = torch.randn(way, width, generator=drawn)
    features = 5 + torch.randn(images, width, generator=drawn) + apart * middles[labels]
    weight, bias = logistic_regression(features, labels)
    away = features - features.mean(0)
    scaled = away / away.pow(2).sum(1).mean().sqrt()
    exact = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(scaled.double().numpy(), labels.numpy())
    expected = torch.tensor(exact.predict_proba(scaled.double().numpy()), dtype=torch.float32)
    torch.testing.assert_close((features @ weight.T + bias).softmax(1), expected, atol=1e-3, rtol=0)


def test_scale_and_place_of_the_features_change_no_answer():
    drawn = torch.Generator().manual_seed(1)
    features, labels = torch.randn(10, 6, generator=drawn), torch.arange(5).repeat_interleave(2)
    answers = []
    for scale, place in ((1.0, 0.0), (100.0, -40.0)):
        weight, bias = logistic_regression(scale * features + place, labels)
        answers.append(((scale * features + place) @ weight.T + bias).softmax(1))
    torch.testing.assert_close(*answers, atol=1e-3, rtol=0)
    weight, bias = logistic_regression(torch.ones(10, 6), labels)
    assert torch.isfinite(weight).all() and torch.isfinite(bias).all(), "features that are all the same"


@pytest.mark.parametrize("learner", ["maml", "protonet"])
def test_only_the_last_layer_is_made_of_the_support_set(patterns, learner):
    model = tiny_model(learner)
    episode = model.prepared(sampler(patterns).episode(0))
    whole, quick = (adapted_task(model, episode, "linear", answers=answers) for answers in (False, True))
    assert all(torch.equal(whole.params[n], p) for n, p in model.params.items() if not n.startswith(HEAD))
    features = extract_features(model.net, {}, episode.support_x)
    weight, bias = logistic_regression(features, episode.support_y)
    torch.testing.assert_close(whole.params[HEAD + "weight"], weight)
    torch.testing.assert_close(whole.logits(episode.support_x), features @ weight.T + bias, atol=1e-4, rtol=1e-4)
    for bn in ("transductive", "inductive"):
        torch.testing.assert_close(quick.logits(episode.query_x, bn), whole.logits(episode.query_x, bn))
    assert set(quick.params) == {HEAD + "weight", HEAD + "bias"}


def test_any_number_of_classes_can_be_adapted_to(patterns):
    rows = evaluate(tiny_model(), sampler(patterns, way=6), adapt=["linear"])
    assert {(r.adapt, r.bn) for r in rows} == {("linear", "transductive"), ("linear", "inductive")}
    episode = sampler(patterns, way=3).episode(0)
    found = adapt(
        tiny_model(), episode.support_x, episode.support_y, episode.query_x, class_names=list("abc"), how="linear"
    )
    assert found.probabilities.shape == (12, 3) and found.how == "linear" and len(found.per_step) == 1


@pytest.mark.stochastic
def test_it_beats_chance_with_a_trained_teachers_features(patterns, tiny_zoo, margin):
    from dfml.meta.fusion import load_backbone

    model = tiny_model()
    load_backbone(model.net, tiny_zoo.teacher(0).net.state_dict(), head=False)
    (row,) = evaluate(model, sampler(patterns, episodes=20), bn=["transductive"], adapt=["linear"])
    margin.at_least("accuracy", row.accuracy, 0.4, null=0.2)


def test_a_calibration_goes_on_from_it(patterns):
    quick = Icfil(Icfil.preset("demo").override({"inversion_steps": 2, "steps": 2, "per_class": 2}))
    (row,) = evaluate(tiny_model(), sampler(patterns, episodes=1), calibrator=quick, bn=["inductive"], adapt=["linear"])
    assert row.calibrate == "icfil" and 0 <= row.accuracy <= 1
