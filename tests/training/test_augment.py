"""What the student sees of recovered pictures."""

import torch

from dfml.inversion import terms
from dfml.meta.outer import seen_task
from dfml.methods.purer import Purer
from dfml.training.ours.images import Augmenter, may_mirror, seen_and_panel
from dfml.training.recovered import recoveries_of
from tests.methods.small import small


def test_nothing_is_mirrored_where_a_teacher_may_know_characters(tiny_zoo, mixed_zoo):
    assert may_mirror(tiny_zoo, True) and not may_mirror(tiny_zoo, False) and not may_mirror(mixed_zoo, True)
    x = torch.rand(40, 3, 8, 8)
    for zoo, mirrored in ((tiny_zoo, True), (mixed_zoo, False)):
        seen = Augmenter(zoo, flip=True, shift=0)(x, torch.Generator().manual_seed(0))
        assert all(torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in zip(seen, x, strict=True))
        assert torch.equal(seen, x) != mirrored


def test_an_idle_one_changes_and_draws_nothing(tiny_zoo):
    g = torch.Generator().manual_seed(0)
    before, x = g.get_state(), torch.rand(4, 3, 8, 8)
    task = (x, torch.zeros(4), x + 1, torch.ones(4))
    _, config = small("teapot", augment=False, flip=True, shift=2, panel=0)
    recoveries = recoveries_of(tiny_zoo, config, "conditional-generator", device=torch.device("cpu"))
    idle, panel = seen_and_panel(config, None, recoveries, None, g)
    assert panel is None and all(torch.equal(a, b) for a, b in zip(seen_task(task, idle, g), task, strict=True))
    assert torch.equal(g.get_state(), before)


def test_purers_common_set_is_not_mirrored_for_grey_teachers(run, mixed_zoo, monkeypatch):
    asked, draw = [], terms.draw_jitter

    def look(channels, *args):
        asked.append(channels)
        return draw(channels, *args)

    monkeypatch.setattr(terms, "draw_jitter", look)
    _, config = small("purer", iterations=6, flip=True)
    run(Purer, config, zoo=mixed_zoo)
    assert set(asked) == {1, 3}, "a colour set is jittered as its grey teacher allows"
