"""First weights: those of the most trusted teacher where a config says so, named as side information."""

import pytest
import torch

from dfml.core.events import Note
from dfml.meta.learners import HEAD
from dfml.training.context import Training
from dfml.training.ours import trust
from dfml.training.taking_part import everyone
from dfml.zoo import open_zoo
from tests.methods.small import small


def begun(name, zoo, seed=0, **changes):
    _, config = small(name, **changes)
    training = Training(zoo, device=torch.device("cpu"), generator=torch.Generator().manual_seed(seed))
    stream = training.begin(name, config, everyone(zoo))
    try:
        while True:
            next(stream)
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("name", ["distill", "free", "purer", "teapot", "tgr"])
def test_the_backbone_of_the_best_reported_teacher_is_copied_and_its_head_is_not(name, tiny_zoo):
    best = max(tiny_zoo.cards, key=lambda card: card.accuracy)
    teacher = tiny_zoo.teacher(best.id)
    model = begun(name, tiny_zoo, init="best-teacher")
    have = teacher.net.state_dict()
    for key, value in model.net.named_parameters():
        assert torch.equal(value, have[key]) == (not key.startswith(HEAD)), key
    assert model.details["init"] == f"teacher {best.id}" and model.mean == list(best.mean)
    fresh = begun(name, tiny_zoo, init="random")
    assert "init" not in fresh.details
    assert not torch.equal(fresh.net.blocks[0][0].weight, have["blocks.0.0.weight"])


@pytest.mark.parametrize("name", ["distill", "purer"])
def test_a_run_names_the_reports_as_side_information(name, run, tiny_zoo):
    trusted = run(*small(name, init="best-teacher", iterations=3))[-1].result
    assert "reported accuracies" in trusted.details["side_information"]
    fresh = run(*small(name, init="random", iterations=3))[-1].result
    assert "reported accuracies" not in fresh.details["side_information"]


def test_where_no_teacher_fits_a_note_says_that_the_weights_are_fresh(run):
    events = run(*small("distill", init="best-teacher", width=4, iterations=2))
    (note,) = (e.text for e in events if isinstance(e, Note) and e.kind == "teacher")
    assert "fresh weights" in note and "fewshot_conv4" in note
    assert "init" not in events[-1].result.details and not events[-1].result.details["side_information"]


def test_a_teacher_that_cannot_be_loaded_is_passed_over(zoo_copy, tiny_zoo):
    best, second, _ = sorted(tiny_zoo.cards, key=lambda card: -card.accuracy)
    (zoo_copy / best.id / "model.safetensors").write_bytes(b"no weights")
    model = begun("teapot", open_zoo(zoo_copy), init="best-teacher")
    assert model.details["init"] == f"teacher {second.id}"


@pytest.mark.parametrize("name", ["distill", "purer"])
def test_any_teacher_is_one_that_the_seed_draws_and_no_report_is_looked_at(name, tiny_zoo, monkeypatch):
    monkeypatch.setattr(trust, "by_report", None)
    drawn = set()
    for seed in range(8):
        model = begun(name, tiny_zoo, init="any-teacher", seed=seed)
        teacher = model.details["drawn_init"].split()[-1]
        have = tiny_zoo.teacher(teacher).net.state_dict()
        for key, value in model.net.named_parameters():
            assert torch.equal(value, have[key]) == (not key.startswith(HEAD)), key
        drawn.add(teacher)
    again = begun(name, tiny_zoo, init="any-teacher", seed=7)
    assert len(drawn) > 1 and again.details["drawn_init"].split()[-1] == teacher
    assert "init" not in model.details


def test_who_cannot_be_loaded_is_not_drawn_and_without_a_fit_weights_are_fresh(zoo_copy, run, tiny_zoo):
    kept, *others = [card.id for card in tiny_zoo.cards]
    for teacher in others:
        (zoo_copy / teacher / "model.safetensors").write_bytes(b"no weights")
    for seed in range(3):
        assert begun("teapot", open_zoo(zoo_copy), init="any-teacher", seed=seed).details["drawn_init"].endswith(kept)
    events = run(*small("distill", init="any-teacher", width=4, iterations=2))
    assert any(isinstance(e, Note) and "fresh weights" in e.text for e in events)
    assert "drawn_init" not in events[-1].result.details and not events[-1].result.details["side_information"]
