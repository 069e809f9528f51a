import pytest

from dfml.core.errors import BadInput
from dfml.core.events import Note
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.evaluation import evaluate
from dfml.zoo import open_zoo
from tests import conditions
from tests.methods.small import small


def accuracy(model, patterns):
    sampler = EpisodeSampler(load_split(patterns, "test"), way=5, shot=1, query=5, episodes=60, seed=conditions.seed())
    return evaluate(model, sampler, bn=["transductive"], adapt=["centroid"])[0].accuracy


@pytest.mark.stochastic
def test_all_teachers_know_more_than_the_mean_of_one_alone(run, tiny_zoo, patterns, margin):
    together = accuracy(run(*small("ensemble-features"))[-1].result, patterns)
    alone = []
    for card in tiny_zoo.cards:
        zoo = open_zoo(tiny_zoo.folder)
        zoo.cards = [card]
        alone.append(accuracy(run(*small("ensemble-features"), zoo=zoo)[-1].result, patterns))
    # By their errors: accuracies are near 1.
    margin.at_most("errors over one teacher's", (1 - together) / (1 - sum(alone) / len(alone)), 0.5)


def test_a_damaged_teacher_is_named_and_the_others_are_used(run, zoo_copy):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"junk")
    events = run(*small("ensemble-features"), zoo=open_zoo(zoo_copy))
    assert any(isinstance(e, Note) and e.kind == "rejected" and "001" in e.text for e in events)
    assert list(events[-1].result.link.teachers) == ["000", "002"]


def test_teachers_that_only_answer_queries_have_no_features(run, tiny_zoo):
    tiny_zoo.cards = [card.override({"access": "queries"}) for card in tiny_zoo.cards]
    with pytest.raises(BadInput, match="no teacher of zoo .* gives its weights"):
        run(*small("ensemble-features"))
