import pytest

from dfml.meta.outer import OuterLoop
from dfml.training.plateau import PlateauDetector
from tests.methods.small import small


def fired(trigger, values):
    return [i for i, value in enumerate(values, 1) if trigger.update(value)]


def test_it_fires_after_patience_updates_without_a_new_maximum():
    # The maximum 0.5 comes second; rises that stay below it do not count.
    assert fired(PlateauDetector(3), [0.1, 0.5, 0.2, 0.3, 0.4, 0.45, 0.46]) == [5]


def test_it_forgets_the_maximum_when_it_fires():
    # After firing at 4 the value 0.2 is a new maximum, so it takes three more updates.
    assert fired(PlateauDetector(3), [0.9, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1]) == [4, 8]


def test_it_never_fires_in_the_warm_up_and_is_forced_once_at_its_end():
    trigger = PlateauDetector(2, warm_up=6, force_at_warm_up=True)
    assert fired(trigger, [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1]) == [6, 9]
    assert trigger.fired_at == [6, 9]


def test_its_state_restores_it():
    values = [0.5, 0.4, 0.6, 0.1, 0.1, 0.2, 0.3, 0.1]
    whole = PlateauDetector(2)
    all_at_once = fired(whole, values)
    first, second = PlateauDetector(2), PlateauDetector(2)
    fired(first, values[:4])
    second.load(first.state())
    fired(second, values[4:])
    assert second.fired_at == all_at_once


def test_without_a_warm_up_it_is_forced_at_the_first_update():
    trigger = PlateauDetector(2, warm_up=0, force_at_warm_up=True)
    assert fired(trigger, [0.5, 0.4, 0.3, 0.3]) == [1, 4]
    assert fired(PlateauDetector(2, warm_up=0), [0.5, 0.4, 0.3, 0.3]) == [3]


@pytest.mark.parametrize("name", ["purer", "bidf-mkd", "free", "tgr"])
def test_a_method_s_plateaus_are_those_of_its_outer_steps_accuracy(name, run, monkeypatch):
    watched, reached = [], []
    update, step = PlateauDetector.update, OuterLoop.step

    def updated(self, value):
        watched.append(value)
        return update(self, value)

    def stepped(self, *given):
        outcome = step(self, *given)
        reached.append(outcome.accuracy)
        return outcome

    monkeypatch.setattr(PlateauDetector, "update", updated)
    monkeypatch.setattr(OuterLoop, "step", stepped)
    changes = {"free": {"warm_up": 0}, "tgr": {"group_by": "random"}, "purer": {"warm_start": 0}}.get(name, {})
    run(*small(name, iterations=3, **changes, **({"patience": 3} if name in ("free", "tgr") else {})))
    assert watched == reached and len(set(reached)) > 1
