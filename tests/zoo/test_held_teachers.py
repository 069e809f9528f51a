"""Of many teachers few are held at once, and who asks them does not notice."""

import gc
import weakref

import pytest
import torch

from dfml.zoo import teacher as held
from dfml.zoo.oracles.choose import AskingConfig, make_oracle
from dfml.zoo.teacher import HeldTeachers


@pytest.fixture
def room_for_two(tiny_zoo, monkeypatch):
    teacher = tiny_zoo.teacher(0)
    size = held.OBJECTS + sum(t.nbytes for t in [*teacher.parameters(), *teacher.buffers()])
    monkeypatch.setattr(held, "MOST_BYTES", 2 * size)
    return HeldTeachers(tiny_zoo.teacher, torch.device("cpu"))


def test_those_asked_last_are_held_and_the_others_dropped(room_for_two):
    first, second = (room_for_two.get(name) for name in ("000", "001"))
    assert room_for_two.get("000") is first
    gone, stays = weakref.ref(second), weakref.ref(first)
    del first, second
    room_for_two.get("002")
    gc.collect()
    assert gone() is None and stays() is not None


def test_one_is_held_however_large_it_is(room_for_two, monkeypatch):
    monkeypatch.setattr(held, "MOST_BYTES", 1)
    assert room_for_two.get("000") is room_for_two.get("000")


@pytest.mark.parametrize("kind", ["autograd", "zeroth-order"])
def test_an_oracle_answers_and_counts_on_when_its_teacher_was_dropped(room_for_two, tiny_zoo, kind):
    def oracle(**how):
        config = AskingConfig().override({"oracle": kind, "q": 2})
        draws = torch.Generator().manual_seed(0)
        return make_oracle(tiny_zoo, "000", config, generator=draws, device=torch.device("cpu"), **how)

    x = torch.rand(4, *tiny_zoo.picture_shape, generator=torch.Generator().manual_seed(1))
    here, plain = oracle(held=room_for_two), oracle()
    for _ in range(2):
        assert torch.equal(here.logits(x), plain.logits(x))
        grads = [each.loss_and_grad(x, lambda logits, images: logits.square().sum(1)).grad for each in (here, plain)]
        assert torch.equal(*grads)
        assert here.gives_statistics == plain.gives_statistics
        for other in ("001", "002"):
            room_for_two.get(other)
    assert (here.queries, here.passes) == (plain.queries, plain.passes)
