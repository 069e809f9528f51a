import pytest
import torch

from dfml.core.errors import BadInput
from dfml.data.folders import load_split
from dfml.meta.adaptation import adapt, adapted_task
from dfml.meta.fusion import load_backbone
from tests.meta.small import sampler, tiny_model


@pytest.fixture
def model(tiny_zoo):
    made = tiny_model(adapt_steps=8)
    load_backbone(made.net, tiny_zoo.teacher(0).net.state_dict(), head=False)
    return made


def pictures(patterns, classes, per_class=5, start=0):
    data = load_split(patterns, "test")
    rows = torch.cat([torch.tensor(data.members[c][start : start + per_class]) for c in range(classes)])
    return data.pictures(rows.numpy()), torch.arange(classes).repeat_interleave(per_class)


@pytest.mark.stochastic
@pytest.mark.parametrize("bn", ["inductive", "transductive"])
def test_patterns_are_told_apart(model, patterns, bn, margin):
    (sx, sy), (qx, qy) = pictures(patterns, 5), pictures(patterns, 5, per_class=4, start=10)
    result = adapt(model, sx, sy, qx, class_names=list("abcde"), query_y=qy, bn=bn)
    assert result.probabilities.shape == (20, 5)
    assert torch.allclose(result.probabilities.sum(1), torch.ones(20), atol=1e-5)
    assert len(result.per_step) == len(result.support_accuracy) == len(result.query_accuracy) == 9
    margin.at_least(
        "support accuracy over before", result.support_accuracy[-1] / max(result.support_accuracy[0], 0.2), 1.2, null=1
    )
    margin.at_least("query accuracy", result.query_accuracy[-1], 0.4, null=0.2)
    assert result.notes == []


def test_fewer_classes_mask_outputs_and_more_make_a_new_head_and_both_are_said(model, patterns):
    few, many = pictures(patterns, 3), pictures(patterns, 6)
    result = adapt(model, *few, few[0][:2], class_names=list("abc"))
    assert result.probabilities.shape == (2, 3) and "masked" in result.notes[0]
    result = adapt(model, *many, many[0][:2], class_names=list("abcdef"))
    assert result.probabilities.shape == (2, 6) and "anew" in result.notes[0]


@pytest.mark.stochastic
def test_one_picture_alone_is_classified_the_same_as_among_others(model, patterns, margin):
    (sx, sy), (qx, _) = pictures(patterns, 5), pictures(patterns, 5, per_class=4, start=10)
    names = list("abcde")
    whole = adapt(model, sx, sy, qx, class_names=names).probabilities
    alone = adapt(model, sx, sy, qx[3:4], class_names=names).probabilities
    margin.alike("alone", whole[3:4], alone, atol=1e-4)


def test_bad_support_sets_are_one_clear_line(model, patterns):
    x, y = pictures(patterns, 2)
    with pytest.raises(BadInput, match="at least 2 classes"):
        adapt(model, x, torch.zeros_like(y), x, class_names=["a"])
    with pytest.raises(BadInput, match="'c' has no support image"):
        adapt(model, x, y, x, class_names=list("abc"))
    with pytest.raises(BadInput, match="no query image"):
        adapt(model, x, y, x[:0], class_names=list("ab"))


def test_prototypes_take_any_number_of_classes(model, patterns):
    x, y = pictures(patterns, 6)
    result = adapt(model, x, y, x, class_names=list("abcdef"), how="centroid")
    assert result.probabilities.shape == (30, 6) and len(result.per_step) == 1 and not result.notes


@pytest.mark.parametrize("how", ["steps", "centroid"])
def test_a_task_for_answers_alone_gives_the_same_ones(model, patterns, how):
    episode = model.prepared(sampler(patterns).episode(0))
    whole, answers = (adapted_task(model, episode, how, answers=only) for only in (False, True))
    for bn in ("transductive", "inductive"):
        assert torch.equal(whole.logits(episode.query_x, bn), answers.logits(episode.query_x, bn))
