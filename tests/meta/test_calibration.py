"""ICFIL: the loss is what it says, only the support set counts, and real and recovered pictures come together."""

import math

import pytest
import torch

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Done, Progress
from dfml.inversion import terms
from dfml.inversion.terms import bn_distance
from dfml.meta import calibration
from dfml.meta.adaptation import Calibration, adapted_task
from dfml.meta.calibration import CALIBRATORS, Icfil, contrast_steps, info_nce
from dfml.meta.evaluation import evaluate, evaluation_steps
from dfml.meta.fusion import load_backbone
from dfml.meta.learners import LearnerConfig, extract_features, make_learner
from dfml.meta.model import new_meta_model
from dfml.nets.norm import recorded_statistics
from dfml.zoo.oracles.base import batch_statistics
from tests import conditions
from tests.meta.small import sampler, tiny_model
from tests.meta.test_ensemble import ensemble

SHORT = {"inversion_steps": 6, "steps": 4, "per_class": 2, "refit": 2}


def quick(**changes):
    return Icfil(Icfil.preset("demo").override({**SHORT, **changes}))


@pytest.fixture
def model(tiny_zoo):
    made = tiny_model(adapt_steps=8)
    load_backbone(made.net, tiny_zoo.teacher(0).net.state_dict(), head=False)
    return made


@pytest.fixture
def episode(model, patterns):
    return model.prepared(sampler(patterns, shot=3).episode(0))


def last(steps):
    *_, final = steps
    return final.result if isinstance(final, Done) else final


def test_info_nce_is_what_a_hand_computes():
    # Directions at 0, 60 and 90 degrees: cosines 1, 1/2 and 0 with the only real picture, whatever their lengths.
    pseudo = torch.tensor([[2.0, 0.0], [0.5, 0.75**0.5], [0.0, 3.0]])
    found = info_nce(torch.tensor([[5.0, 0.0]]), torch.tensor([0]), pseudo, torch.tensor([0, 0, 1]), 0.5)
    weights = [math.exp(2), math.exp(1), math.exp(0)]
    assert float(found) == pytest.approx(-math.log((weights[0] + weights[1]) / sum(weights)), rel=1e-5)


def test_info_nce_agrees_with_its_formula_written_out():
    g = torch.Generator().manual_seed(conditions.seed())
    real, pseudo = (torch.randn(n, 6, generator=g, dtype=torch.float64) for n in (7, 9))
    real_y, pseudo_y = torch.arange(7) % 3, torch.arange(9) % 3
    total = 0.0
    for a in range(7):
        cosines = [float(torch.cosine_similarity(real[a], pseudo[b], dim=0)) for b in range(9)]
        same = sum(math.exp(c / 0.2) for c, y in zip(cosines, pseudo_y, strict=True) if y == real_y[a])
        total -= math.log(same / sum(math.exp(c / 0.2) for c in cosines))
    assert float(info_nce(real, real_y, pseudo, pseudo_y, 0.2)) == pytest.approx(total / 7)
    order = torch.randperm(9, generator=g)
    moved = info_nce(3 * real, real_y, pseudo[order], pseudo_y[order], 0.2)
    assert float(moved) == pytest.approx(total / 7), "lengths and order of pictures do not matter"


def test_its_gradient_draws_a_picture_to_its_own_class_and_away_from_the_others():
    pseudo = torch.eye(2)
    real = torch.tensor([[1.0, 1.0]], requires_grad=True)
    (grad,) = torch.autograd.grad(info_nce(real, torch.tensor([0]), pseudo, torch.arange(2)), real)
    assert grad[0, 0] < 0 < grad[0, 1]


@pytest.mark.stochastic
@pytest.mark.parametrize("adapt", ["steps", "centroid"])
def test_the_adapted_models_teacher_answers_as_its_inductive_self(model, episode, adapt, patterns, margin):
    task = adapted_task(model, episode, adapt)
    teacher = task.as_teacher()
    fixed = task.learner.support_statistics(model.net, task.params, task.support_x)
    raw = sampler(patterns, shot=3).episode(0).query_x
    with torch.no_grad():
        wanted = task.learner.predict(model.net, task.params, episode.query_x, fixed)
        found = teacher.logits(raw)
    if adapt == "centroid":
        # The same distances but for a number that a picture's classes share, on a scale of their own.
        wanted, found = wanted - wanted.mean(1, keepdim=True), found - found.mean(1, keepdim=True)
        wanted *= found.norm() / wanted.norm()
    margin.alike("answers", found, wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.stochastic
def test_the_bn_targets_are_the_support_sets_taken_with_the_adapted_weights(model, episode, patterns, margin):
    task = adapted_task(model, episode, "steps")
    teacher = task.as_teacher()
    support, query = (getattr(sampler(patterns, shot=3).episode(0), part) for part in ("support_x", "query_x"))
    distances = []
    for pictures in (support, query):
        with torch.no_grad(), batch_statistics(teacher.net) as statistics:
            teacher.logits(pictures)
        distances.append(float(bn_distance(statistics)))
    margin.at_most("distance of the support set itself", distances[0], 1e-2)
    margin.at_least("distance of others", distances[1], 1e-2)
    with torch.no_grad(), recorded_statistics(model.net) as unadapted:
        model.net(task.support_x)
    assert not torch.allclose(unadapted[1][0], teacher.net.blocks[1][1].running_mean)


@pytest.mark.stochastic
@pytest.mark.parametrize("adapt", ["steps", "centroid"])
def test_the_loss_falls_and_the_models_own_weights_stay(model, episode, adapt, margin):
    before = {k: v.clone() for k, v in model.net.state_dict().items()}
    found = last(quick(inversion_steps=20).calibrate([adapted_task(model, episode, adapt)]))[0]
    assert len(found.contrast) == 5
    margin.at_most("loss", found.contrast[-1] / found.contrast[0], 0.99, null=1)
    assert found.pictures.shape == (10, 3, 32, 32) and 0 <= found.pictures.min() and found.pictures.max() <= 1
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    margin.at_least("recovered as asked", found.recovered_accuracy, 0.6, null=0.2)
    assert all(torch.equal(before[k], v) for k, v in model.net.state_dict().items())
    assert not any(p.requires_grad for p in found.params.values())


def test_it_goes_on_from_the_adapted_model_and_adapts_again_where_that_is_asked(model, episode):
    task = adapted_task(model, episode, "steps")
    # Steps of next to nothing: what is left of the calibration are its beginning and its end.
    found = {refit: last(quick(lr=1e-12, refit=refit).calibrate([task]))[0].params for refit in (0, 2)}
    for refit, wanted in ((0, task.params), (2, task.learned(task.params, 2).params)):
        assert all(torch.allclose(found[refit][name], value, atol=1e-6) for name, value in wanted.items())
    for one, other in ((found[0], found[2]), (found[0], model.params)):
        assert not all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


def test_real_and_recovered_images_meet_normalised_alike(model, episode, monkeypatch):
    met, steps = [], calibration.contrast_steps
    monkeypatch.setattr(calibration, "contrast_steps", lambda task, x, *rest: met.append(x) or steps(task, x, *rest))
    found = last(quick().calibrate([adapted_task(model, episode, "steps")]))[0]
    assert torch.allclose(met[0], model.prepare(found.pictures)) and not torch.allclose(met[0], found.pictures)


@pytest.mark.stochastic
def test_with_permuted_labels_the_answers_get_worse(model, patterns, margin):
    config = quick(inversion_steps=20, steps=10, lr=0.05).config
    losses = {"right": 0.0, "wrong": 0.0}
    for number in range(3):
        episode = model.prepared(sampler(patterns, shot=3).episode(number))
        task = adapted_task(model, episode, "steps")
        found = last(Icfil(config).calibrate([task]))[0]
        pseudo = model.prepare(found.pictures)
        for name, labels in (("right", found.labels), ("wrong", (found.labels + 1) % 5)):
            params, _ = last(contrast_steps(task, pseudo, labels, config))
            with torch.no_grad():
                logits = task.learner.predict(model.net, params, episode.query_x)
            losses[name] += float(torch.nn.functional.cross_entropy(logits, episode.query_y))
    margin.at_most("loss with right labels over that with wrong ones", losses["right"] / losses["wrong"], 0.9, null=1)


@pytest.mark.stochastic
def test_calibrating_brings_real_and_recovered_pictures_of_a_class_together(model, episode, margin):
    task = adapted_task(model, episode, "steps")
    found = last(quick(inversion_steps=20, steps=10, refit=0).calibrate([task]))[0]

    def apart(params):
        real, pseudo = (
            extract_features(model.net, params, x) for x in (episode.support_x, model.prepare(found.pictures))
        )
        cosine = torch.nn.functional.normalize(real, dim=1) @ torch.nn.functional.normalize(pseudo, dim=1).T
        same = episode.support_y.unsqueeze(1) == found.labels.unsqueeze(0)
        return float(cosine[same].mean() - cosine[~same].mean())

    margin.at_least(
        "nearer to its class than to others, over before", apart(found.params) / apart(task.params), 1.1, null=1
    )


def test_only_the_support_set_counts(model, patterns):
    episode = model.prepared(sampler(patterns).episode(0))
    others = type(episode)(episode.support_x, episode.support_y, episode.query_x.flip(0) * 0, episode.query_y.flip(0))
    for adapt in ("steps", "centroid"):
        a, b = (last(quick().calibrate([adapted_task(model, e, adapt)]))[0] for e in (episode, others))
        assert all(torch.equal(a.params[k], b.params[k]) for k in a.params) and torch.equal(a.pictures, b.pictures)


@pytest.mark.stochastic
def test_an_inductive_answer_does_not_depend_on_the_other_queries(model, patterns, margin):
    from dfml.meta.adaptation import adapt

    first = sampler(patterns).episode(0)
    options = {"class_names": list("abcde"), "calibrate": quick()}
    whole = adapt(model, first.support_x, first.support_y, first.query_x, **options)
    alone = adapt(model, first.support_x, first.support_y, first.query_x[:1], **options)
    margin.alike("alone", whole.probabilities[:1], alone.probabilities, atol=1e-4)


def test_a_seed_gives_the_same_bytes_and_a_task_does_not_depend_on_its_neighbours(model, patterns):
    tasks = [adapted_task(model, model.prepared(sampler(patterns).episode(n)), "steps", f"{n}") for n in range(3)]
    together = last(quick().calibrate(tasks, seed=4))
    alone = last(quick().calibrate(tasks[1:2], seed=4))[0]
    other = last(quick().calibrate(tasks[1:2], seed=5))[0]
    assert torch.equal(together[1].pictures, alone.pictures)
    assert all(torch.equal(together[1].params[k], alone.params[k]) for k in alone.params)
    assert not torch.equal(alone.pictures, other.pictures)
    assert not torch.equal(together[0].pictures, together[1].pictures)


def test_it_tells_each_step_and_can_be_left_at_any(model, episode):
    task = adapted_task(model, episode, "steps")
    *steps, done = quick().calibrate([task, task])
    assert [s.step for s in steps] == sorted(s.step for s in steps)
    assert {s.total for s in steps} == {10} and steps[-1].step == 10
    assert len(done.result) == 2 and all(isinstance(s, Progress) for s in steps)
    work = quick().calibrate([task])
    next(work)
    work.close()
    # Whatever it was doing, nothing of it is left in the network.
    assert all(
        layer.supplied is None and layer.recorder is None for layer in model.net.modules() if hasattr(layer, "supplied")
    )


@pytest.mark.parametrize("learner", ["maml", "anil", "protonet"])
@pytest.mark.parametrize("way", [3, 5, 6])
def test_any_learner_and_any_number_of_classes(learner, way, patterns, tiny_zoo):
    from dfml.meta.adaptation import adapt

    model = tiny_model(learner)
    episode = sampler(patterns, way=way).episode(0)
    result = adapt(
        model, episode.support_x, episode.support_y, episode.query_x,
        class_names=[f"c{i}" for i in range(way)], query_y=episode.query_y, calibrate=quick(inversion_steps=2),
    )  # fmt: skip
    assert result.probabilities.shape == (4 * way, way) and result.probabilities.isfinite().all()
    assert result.calibration.pictures.shape[0] == 2 * way
    assert not torch.equal(result.probabilities, result.uncalibrated)
    assert torch.equal(result.uncalibrated, result.per_step[-1])


@pytest.mark.parametrize("architecture", ["fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12"])
def test_grey_pictures_and_every_architecture(architecture, grey_patterns):
    model = new_meta_model(
        architecture, shape=(1, 28, 28), way=5, mean=[0.5], std=[0.25], width=4,
        learner=make_learner("maml", LearnerConfig(inner_lr=0.05)), adapt_steps=2,
    )  # fmt: skip
    rows = evaluate(model, sampler(grey_patterns, episodes=2), calibrator=quick(inversion_steps=2, steps=2))
    assert len(rows) == 6 and all(0 <= r.accuracy <= 1 for r in rows)


def test_evaluating_compares_the_same_episodes_with_and_without(model, patterns):
    plain = {(r.adapt, r.bn): r for r in evaluate(model, sampler(patterns, episodes=3))}
    heard = []
    rows = evaluate(
        model,
        sampler(patterns, episodes=3),
        calibrator=quick(inversion_steps=3),
        progress=lambda done, total: heard.append((done, total)),
    )
    assert len(rows) == 6 and heard[-1] == (3, 3) and len(heard) > 8
    for row in rows:
        assert row.plain_per_episode == plain[row.adapt, row.bn].per_episode
        assert row.gain == pytest.approx(row.accuracy - row.uncalibrated, abs=1e-6)
        told = row.row()
        assert told["calibrate"] == "icfil" and not {"per_episode", "plain_per_episode"} & set(told)
        assert len(told["right"]) == len(told["uncalibrated_right"]) == told["episodes"]
    alone = evaluate(
        model, sampler(patterns, episodes=3), calibrator=quick(inversion_steps=3), bn=["inductive"], adapt=["centroid"]
    )
    (same,) = (r for r in rows if (r.adapt, r.bn) == ("centroid", "inductive"))
    assert alone[0].per_episode == same.per_episode, "a mode's numbers do not depend on the others asked for"


def test_what_is_evaluated_are_the_calibrated_answers(model, patterns):
    class Blind:
        """Leaves a model that names the first class whatever it sees."""

        name = "blind"

        def calibrate(self, tasks, *, seed=0):
            lost = [{name: torch.zeros_like(value) for name, value in task.params.items()} for task in tasks]
            yield Done([Calibration(params, torch.zeros(0), torch.zeros(0), [1.0, 0.5], 1.0) for params in lost])

    for row in evaluate(model, sampler(patterns, episodes=3), calibrator=Blind(), adapt=["steps"]):
        assert row.per_episode == pytest.approx([0.2] * 3) != row.plain_per_episode


def test_calibrated_answers_are_normalised_as_their_column_says(model, patterns):
    class Nothing:
        """Leaves the adapted models as they are."""

        name = "nothing"

        def calibrate(self, tasks, *, seed=0):
            yield Done([Calibration(task.params, torch.zeros(0), torch.zeros(0), [1.0, 1.0], 1.0) for task in tasks])

    rows = {(row.adapt, row.bn): row for row in evaluate(model, sampler(patterns), calibrator=Nothing())}
    assert all(row.per_episode == row.plain_per_episode for row in rows.values())
    for adapt in ("steps", "centroid"):
        assert rows[adapt, "inductive"].per_episode != rows[adapt, "transductive"].per_episode


def test_evaluating_can_be_left(model, patterns):
    steps = evaluation_steps(model, sampler(patterns), calibrator=quick())
    assert next(steps) == (0, [])
    steps.close()


def test_what_cannot_be_calibrated_is_one_clear_line(model, patterns, episode, tiny_zoo):
    with pytest.raises(BadInput, match="nothing to calibrate"):
        evaluate(ensemble(tiny_zoo), sampler(patterns), calibrator=quick(), adapt=["centroid"])
    with pytest.raises(BadInput, match="--way 5"):
        evaluate(model, sampler(patterns, way=6), calibrator=quick())
    with pytest.raises(BadInput, match="Did you mean 'icfil'"):
        CALIBRATORS.get("icfill")
    with pytest.raises(BadInput, match="Known: demo, published, paper"):
        Icfil.preset("large")
    task, nothing = adapted_task(model, episode, "steps"), torch.full((5, 3, 32, 32), torch.nan)
    with pytest.raises(RunFailed, match="loss is nan in step 0: lower its learning rate"):
        last(contrast_steps(task, nothing, torch.arange(5), quick().config))


def test_several_tasks_in_one_stacked_pass_give_the_same(model, patterns, monkeypatch):
    tasks = [
        adapted_task(model, model.prepared(sampler(patterns).episode(n)), way, f"{n}, {way}")
        for n, way in ((0, "steps"), (1, "steps"), (1, "centroid"))
    ]
    calibrator = quick(inversion_steps=3)
    one_by_one = last(calibrator.calibrate(tasks))
    make = terms.StackedOracles
    monkeypatch.setattr(terms, "StackedOracles", lambda oracles, *, stacked: make(oracles, stacked=True))
    stacked = last(calibrator.calibrate(tasks))
    for a, b in zip(one_by_one, stacked, strict=True):
        assert (a.pictures - b.pictures).abs().mean() < 1e-3
        assert a.contrast == pytest.approx(b.contrast, rel=0.02)


@pytest.mark.stochastic
@pytest.mark.parametrize(("term", "weight"), [("bn", 3.0), ("tv", 0.3), ("l2", 0.3)])
def test_each_term_of_its_recovery_lowers_what_it_measures(term, weight, model, episode, margin):
    def apart(**terms_):
        given = {"bn": 0.0, "tv": 0.0, "l2": 0.0, "inversion_steps": 15, "per_class": 3, **terms_}
        (found,) = last(quick(**given).calibrate([adapted_task(model, episode, 2)]))
        images, teacher = found.pictures, adapted_task(model, episode, 2).as_teacher()
        with batch_statistics(teacher.net) as statistics:
            teacher.logits(images)
        measures = {"bn": lambda: bn_distance(statistics), "tv": lambda: terms.total_variation(images)}
        return float(measures.get(term, lambda: terms.l2_from_grey(images))())

    margin.at_most(f"{term} with its term over that without", apart(**{term: weight}) / apart(), 0.9, null=1)
