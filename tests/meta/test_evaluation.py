import math
from itertools import product

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.meta import evaluation
from dfml.meta.adaptation import adapted_task
from dfml.meta.evaluation import ADAPT_MODES, BN_MODES, evaluate, interval95
from dfml.meta.model import MetaModel
from dfml.nets.norm import recorded_statistics
from tests.meta.small import sampler, tiny_model


def test_the_interval_is_that_of_the_papers():
    mean, half = interval95([0.2, 0.4, 0.6, 0.8])
    assert mean == pytest.approx(0.5)
    assert half == pytest.approx(1.96 * math.sqrt(0.05) / 2)


def test_all_modes_come_back_with_the_same_episodes(patterns):
    rows = evaluate(tiny_model(), sampler(patterns))
    assert {(r.adapt, r.bn) for r in rows} == set(product(("steps", "centroid", "linear"), BN_MODES))
    assert all(len(r.per_episode) == r.episodes == 6 and r.shots == 2 for r in rows)
    assert all(r.reference_seconds > 0 for r in rows)
    assert rows[0].per_episode != rows[2].per_episode


@pytest.mark.parametrize("episodes", [1, 6])
def test_one_bare_episode_is_the_yardstick_and_none_where_it_is_not_asked_for(episodes, patterns, monkeypatch):
    timed = []
    monkeypatch.setattr(evaluation, "_bare_adaptation", lambda *given: timed.append(given))
    evaluate(tiny_model(), sampler(patterns, episodes=episodes))
    assert len(timed) == 1
    rows = evaluate(tiny_model(), sampler(patterns, episodes=episodes), yardstick=False)
    assert len(timed) == 1 and rows[0].reference_seconds == 0


def test_evaluating_twice_gives_the_same_numbers_and_leaves_the_model_alone(patterns):
    model = tiny_model()
    before = {k: v.clone() for k, v in model.net.state_dict().items()}
    first, second = (evaluate(model, sampler(patterns))[0].per_episode for _ in range(2))
    assert first == second
    assert all(torch.equal(before[k], v) for k, v in model.net.state_dict().items())


@pytest.mark.stochastic
def test_only_transductive_predictions_depend_on_the_other_queries(patterns, margin):
    model = tiny_model()
    episode = sampler(patterns).episode(0)
    prepared = model.prepared(episode)
    alone = type(prepared)(prepared.support_x, prepared.support_y, prepared.query_x[:1], prepared.query_y[:1])
    for adapt in ADAPT_MODES:
        task = adapted_task(model, prepared, adapt)
        whole, single = (
            {bn: task.logits(e.query_x, bn) for bn in ("inductive", "transductive")} for e in (prepared, alone)
        )
        margin.alike("inductive", whole["inductive"][:1], single["inductive"], atol=1e-4, rtol=1e-5)
        apart = (whole["transductive"][:1] - single["transductive"]).abs().max()
        margin.at_least("transductive", apart, 1e-3)


def test_inductive_mode_uses_the_adapted_weights_statistics(patterns):
    model = tiny_model()
    episode = sampler(patterns).episode(0)
    x = model.prepare(episode.support_x)
    *_, adapted = model.learner.adapt(model.net, model.params, x, episode.support_y, steps=3)
    with recorded_statistics(model.net) as before:
        model.net(x)
    after = model.learner.support_statistics(model.net, adapted, x)
    assert len(after) == 4 and not torch.allclose(before[1][0], after[1][0])


@pytest.mark.stochastic
def test_a_trained_teachers_features_beat_chance_on_the_patterns(patterns, tiny_zoo, margin):
    from dfml.meta.fusion import load_backbone

    model = tiny_model()
    load_backbone(model.net, tiny_zoo.teacher(0).net.state_dict(), head=False)
    row = evaluate(model, sampler(patterns, episodes=20), bn=["transductive"], adapt=["centroid"])[0]
    margin.at_least("accuracy", row.accuracy, 0.4, null=0.2)


def test_more_classes_than_outputs_is_one_clear_line(patterns):
    with pytest.raises(BadInput, match="--way 5"):
        evaluate(tiny_model(), sampler(patterns, way=6))
    rows = evaluate(tiny_model(), sampler(patterns, way=6), adapt=["centroid"])
    assert len(rows) == 2


@pytest.mark.stochastic
def test_a_model_survives_saving_and_loads_with_no_run_around_it(patterns, tmp_path, margin):
    import timm

    model = tiny_model("anil")
    model.details.update(method="random", side_information=["nothing"])
    model.save(tmp_path / "m")
    again = MetaModel.load(tmp_path / "m")
    assert again.learner.name == "anil" and again.learner.config.inner_lr == 0.05 and again.adapt_steps == 3
    assert again.details["side_information"] == ["nothing"] and (tmp_path / "m" / "README.md").is_file()
    first, second = (evaluate(m, sampler(patterns))[0].per_episode for m in (model, again))
    assert first == second
    through_timm = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True).train()
    x = torch.rand(4, 3, 32, 32)
    margin.alike("other memory layout", through_timm(x), model.net(x), atol=1e-5, rtol=1e-5)


def test_a_teacher_is_no_meta_model(tiny_zoo_folder, tmp_path):
    with pytest.raises(BadInput, match="no meta-model"):
        MetaModel.load(tiny_zoo_folder / "000")
    with pytest.raises(BadInput, match="no model at"):
        MetaModel.load(tmp_path / "nothing")
