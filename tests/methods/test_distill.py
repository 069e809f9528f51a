"""Distillation: all teachers' answers about all pictures, and a bill for them."""

from types import SimpleNamespace

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, until_done
from dfml.methods import distill
from dfml.methods.distill import Distill
from dfml.tasks import cache
from dfml.training.context import Training
from dfml.training.recovered import recoveries_of
from tests.methods.small import small

TINY = {"visits": 2}


def as_it_is(x, generator):
    return x


def drained(stream):
    try:
        while True:
            next(stream)
    except StopIteration as end:
        return end.value


def training_of(zoo, seed):
    return Training(zoo, data=None, device=torch.device("cpu"), generator=torch.Generator().manual_seed(seed))


def asked(zoo, **changes):
    _, config = small("distill", **changes)
    method, device = Distill(config), torch.device("cpu")
    made = recoveries_of(zoo, config, "generator", device=device, seed=0)
    found = drained(until_done(made.recover([(i, 0) for i in zoo.ids])))
    before = made.cost["queries"]
    answers = drained(method.ask(made, zoo.ids, found, 0))
    return method, found, answers, made.cost["queries"] - before


@pytest.mark.stochastic
@pytest.mark.parametrize("at_once", [cache.AT_ONCE, 2])
def test_every_teacher_answers_about_every_picture(at_once, tiny_zoo, monkeypatch, margin):
    monkeypatch.setattr(cache, "AT_ONCE", at_once)  # three tasks at once, or in two parts
    _, found, answers, queries = asked(tiny_zoo)
    assert queries == sum(len(t.labels) for t in found) * len(tiny_zoo)
    for task, given in zip(found, answers, strict=True):
        for position, teacher in enumerate(tiny_zoo):
            margin.alike("answers", given[:, position], teacher.logits(task.images), atol=1e-4, rtol=1e-5)


def test_tasks_of_several_sizes_get_their_own_answers():
    tasks = [pictures(count, size) for count, size in ((40, 4), (3, 4), (2, 6), (5, 4), (50, 4), (1, 4))]
    asked_at_once = []

    class Sums:
        def ask(self, teacher, images):
            asked_at_once.append(len(images))
            return images.sum((1, 2, 3))[:, None]

    for task, said in zip(tasks, distill.said_of(Sums(), "a", tasks), strict=True):
        assert torch.equal(said[:, 0], task.images.sum((1, 2, 3)))
    assert max(asked_at_once) <= 64 and len(asked_at_once) < len(tasks)


def pictures(count, size):
    return SimpleNamespace(images=torch.rand(count, 1, size, size), labels=torch.zeros(count))


def test_a_black_box_is_not_opened_anew_for_each_question(zoo_copy, monkeypatch):
    from dfml.core.paths import read_json, write_json
    from dfml.zoo import open_zoo
    from dfml.zoo.zoo import Zoo

    card = zoo_copy / "001" / "dfml.json"
    write_json(card, {**read_json(card, "card"), "access": "queries"})
    opened, load = [], Zoo.teacher
    monkeypatch.setattr(Zoo, "teacher", lambda self, which: opened.append(which) or load(self, which))
    _, found, _, queries = asked(open_zoo(zoo_copy))
    assert opened.count("001") == 1, "once for its own recovery, and no more for three tasks of questions"
    assert queries == sum(len(t.labels) for t in found) * 3


def test_with_own_answers_no_question_is_asked_and_no_strangers_answer_counts(tiny_zoo):
    method, found, answers, queries = asked(tiny_zoo, targets="own")
    assert queries == 0
    for task, given in zip(found, answers, strict=True):
        position = tiny_zoo.ids.index(task.teacher_id)
        assert torch.equal(given[:, position], task.soft_targets)
        assert bool((given[:, [i for i in range(3) if i != position]] == -torch.inf).all())
        *_, counts = method.batch(training_of(tiny_zoo, 0), task, given, as_it_is)
        assert bool(counts[:, position].all()) and int(counts.sum()) == len(counts)


def test_a_batch_keeps_pictures_and_answers_together(tiny_zoo):
    method, found, answers, _ = asked(tiny_zoo)
    images, given, _ = method.batch(training_of(tiny_zoo, 1), found[0], answers[0], as_it_is)
    for picture, answer in zip(images, given, strict=True):
        (row,) = [i for i, x in enumerate(found[0].images) if torch.equal(x, picture)][:1]
        assert torch.equal(answers[0][row], answer)


def test_the_bill_holds_the_answers(run, tiny_zoo):
    model = run(*small("distill", iterations=2))[-1].result
    _, config = small("distill")
    recovered = config.visits * len(tiny_zoo) * 5 * config.recovered_per_class
    # The steps of each recovery, its soft targets, and what every teacher says of every picture.
    assert model.details["queries"] == recovered * (config.inversion_steps + 1) + recovered * len(tiny_zoo)
    assert model.details["recoveries"] == config.visits * len(tiny_zoo)


def test_a_resumed_run_is_billed_for_what_it_asks_again(run, tiny_zoo):
    method, config = small("distill", iterations=4)
    whole = run(method, config)
    middle = next(e for e in whole if isinstance(e, Checkpoint) and e.step == 2)
    rest = run(method, config, state=middle.state)
    assert rest[-1].result.details["queries"] == 2 * whole[-1].result.details["queries"]


def test_too_small_a_recovery_is_named():
    _, config = small("distill", recovered_per_class=3)
    with pytest.raises(BadInput, match="2 \\+ 3 images per class, a recovery has 3"):
        Distill(config).teachers(None)
