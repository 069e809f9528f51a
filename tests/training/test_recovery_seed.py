"""Kept recoveries have a seed of their own, and shared names of classes are told."""

import pytest
import torch

from dfml.methods import METHODS
from dfml.training.context import SHARED_NAMES, Training, share_names
from dfml.training.options import KEPT_SEED
from dfml.training.recovered import recoveries_of
from dfml.training.used_classes import as_used
from dfml.zoo import open_zoo
from tests.methods.small import small

KEPT = {"recovered": "kept", "visits": 1}


def seed_of(zoo, seed, **changes):
    _, config = small("distill", **{**KEPT, **changes})
    return recoveries_of(zoo, config, "generator", device=torch.device("cpu"), seed=seed).recipe.seed


def test_all_runs_share_what_is_kept_unless_another_recovery_seed_is_asked_for(tiny_zoo):
    assert {seed_of(tiny_zoo, seed) for seed in (1, 2, None)} == {KEPT_SEED}
    assert {seed_of(tiny_zoo, seed, recovery_seed=5) for seed in (1, 2, None)} == {5}
    assert seed_of(tiny_zoo, 7, recovered="fresh", recovery_seed=5) == 7


def test_another_seed_is_another_recovery_with_a_place_of_its_own(tiny_zoo):
    found = []
    for seed in (0, 5, 5):
        _, config = small("distill", **KEPT, recovery_seed=seed)
        recoveries = recoveries_of(tiny_zoo, config, "generator", device=torch.device("cpu"))
        *_, done = recoveries.recover([(tiny_zoo.ids[0], 0)])
        found.append((done.result[0].images, recoveries.cost["kept_seconds"]))
    (first, _), (second, before), (third, kept) = found
    assert not torch.equal(first, second) and torch.equal(second, third) and before == 0 < kept


def test_classes_of_kept_recoveries_are_drawn_by_that_seed(tiny_zoo):
    def classes(seed, **changes):
        _, config = small("distill", **KEPT, classes_per_teacher="2", **changes)
        return as_used(tiny_zoo, config, seed).class_keys()

    assert classes(1) == classes(2) == classes(1, recovery_seed=0)
    assert any(classes(1) != classes(1, recovery_seed=seed) for seed in range(1, 5))


@pytest.mark.parametrize("name", [n for n in METHODS if "recovery_seed" in METHODS.get(n).Config.model_fields])
def test_configs_of_before_are_those_of_the_shared_seed(name):
    config = METHODS.get(name).demo()
    assert config.recovery_seed == KEPT_SEED and "recovery_seed" not in config.model_dump()
    changed = config.override({"recovery_seed": 3})
    assert type(config).parse(changed.model_dump()).recovery_seed == 3


@pytest.mark.parametrize(("consensus", "merges"), [(0, False), (2, True)])
def test_agreeing_on_a_class_goes_by_its_name(consensus, merges, tiny_zoo):
    _, config = small("distill", consensus=consensus)
    training = Training(tiny_zoo, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    record = training.record(config, training.untaught("distill", config), {})
    assert (SHARED_NAMES in record.finish([]).details["side_information"]) == merges


@pytest.mark.parametrize("name", ["purer", "tgr", "bidf-mkd", "free", "teapot", "distill"])
def test_names_that_make_one_class_of_several_are_side_information(name, tiny_zoo, zoo_copy, run):
    names = [set(card.classes) for card in tiny_zoo.cards]
    assert names[0] & names[1], "the tiny zoo's teachers share classes"
    apart = open_zoo(zoo_copy)
    apart.shared_class_names = False
    assert share_names(tiny_zoo) and not share_names(apart)
    quick = {"iterations": 3, "warm_up": 1, "warm_start": 1, "generate_interval": 1, "boundary_after": 1}
    method, config = small(name)
    quick["init"] = "random"
    config = config.override({k: v for k, v in quick.items() if k in type(config).model_fields})
    for zoo, merges in ((tiny_zoo, name != "distill"), (apart, False)):
        told = run(method, config, zoo=zoo)[-1].result.details["side_information"]
        assert (SHARED_NAMES in told) == merges, (name, zoo.name)
