"""Distillation: all teachers' answers about all pictures, and a bill for them."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import until_done
from dfml.methods.distill import Distill
from dfml.methods.recovering import recoveries_of
from tests.methods.test_contract import small


def drained(stream):
    try:
        while True:
            next(stream)
    except StopIteration as end:
        return end.value


def asked(zoo, **changes):
    _, config = small("distill", **changes)
    method, device = Distill(config), torch.device("cpu")
    made = recoveries_of(zoo, config, "generator", device=device, seed=0)
    found = drained(until_done(made.recover([(i, 0) for i in zoo.ids])))
    answers, queries = drained(method.ask(made, zoo.ids, found, 0))
    return method, found, answers, queries


def test_every_teacher_answers_about_every_picture(tiny_zoo):
    _, found, answers, queries = asked(tiny_zoo)
    assert queries == sum(len(t.labels) for t in found) * len(tiny_zoo)
    for task, given in zip(found, answers, strict=True):
        for position, teacher in enumerate(tiny_zoo):
            assert torch.allclose(given[:, position], teacher.logits(task.images), atol=1e-4)


def test_with_own_answers_no_further_question_is_asked_and_no_strangers_answer_counts(tiny_zoo):
    method, found, answers, queries = asked(tiny_zoo, targets="own")
    assert queries == 0
    for task, given in zip(found, answers, strict=True):
        position = tiny_zoo.ids.index(task.teacher_id)
        assert torch.equal(given[:, position], task.soft_targets)
        assert bool((given[:, [i for i in range(3) if i != position]] == -torch.inf).all())
        g = torch.Generator().manual_seed(0)
        *_, counts = method.batch(task, given, tiny_zoo.ids, torch.device("cpu"), g)
        assert bool(counts[:, position].all()) and int(counts.sum()) == len(counts)


def test_a_batch_keeps_pictures_and_answers_together(tiny_zoo):
    method, found, answers, _ = asked(tiny_zoo, learn_shift=0, flip=False)
    images, given, _ = method.batch(
        found[0], answers[0], tiny_zoo.ids, torch.device("cpu"), torch.Generator().manual_seed(1)
    )
    for picture, answer in zip(images, given, strict=True):
        (row,) = [i for i, x in enumerate(found[0].images) if torch.equal(x, picture)][:1]
        assert torch.equal(answers[0][row], answer)


def test_the_bill_holds_the_answers(run, tiny_zoo):
    model = run(*small("distill", iterations=2))[-1].result
    _, config = small("distill")
    recovered = config.visits * len(tiny_zoo) * 5 * config.recovered_per_class
    assert model.details["queries"] > recovered * len(tiny_zoo)
    assert model.details["recoveries"] == config.visits * len(tiny_zoo)


def test_too_small_a_recovery_is_named():
    _, config = small("distill", recovered_per_class=3)
    with pytest.raises(BadInput, match="a step takes 2 \\+ 3 pictures a class, a recovery has 3"):
        Distill(config).teachers(None)
