"""What an optimiser remembers of earlier steps lasts for as long as what it moves."""

from collections import Counter

import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

from dfml.meta.outer import OuterLoop
from tests.methods.test_contract import ON_DATA, short


def remembered(optimiser):
    return max((int(of["step"]) for of in optimiser.state.values() if "step" in of), default=None)


@pytest.fixture
def steps():
    """Of each optimiser after each of its steps: how many it took, and how many it remembers."""
    taken, kept, told = Counter(), [], []

    def count(optimiser, args, kwargs):
        kept.append(optimiser)  # so that no other one gets its number
        taken[id(optimiser)] += 1
        told.append((taken[id(optimiser)], remembered(optimiser)))

    handle = register_optimizer_step_post_hook(count)
    yield told
    handle.remove()


@pytest.mark.parametrize("name", ON_DATA)
def test_one_outer_optimiser_learns_through_the_whole_training(name, run, steps, monkeypatch):
    made, real = [], OuterLoop.__init__

    def noted(self, *args, **kwargs):
        made.append(self)
        real(self, *args, **kwargs)

    monkeypatch.setattr(OuterLoop, "__init__", noted)
    run(*short(name))
    kinds = Counter(type(outer) for outer in made)  # a panel's student has one of its own
    assert max(kinds.values(), default=1) == 1, "another one would have forgotten the moments of the steps before"
    assert max(count for count, _ in steps) > 2
    assert all(known in (None, count) for count, known in steps), "one forgot the moments of its own steps before"
