"""Every option of every method reaches its training: with another value of it another model comes out.

An option that is read and handed on to nobody, or to the wrong one, is what a fault between two rooms looks like. And
each of these trainings, and each preset's, gives what it gave before: ``tests/recorded``.
"""

import json
from itertools import product

import pytest
import torch

from dfml.core.registry import PRESETS
from dfml.methods import METHODS
from dfml.training import context
from dfml.training.context import Training
from dfml.zoo import open_zoo
from dfml.zoo.teacher import load_teacher
from tests.methods.small import SIZES, small, weights
from tests.options import others
from tests.recorded import record

NOT_LEARNED = {
    "architecture", "width", "way", "images_size", "network",  # which network it is
    "validate_every", "validation_episodes", "keep",  # what is looked at, and which of its states is kept
    "recovered", "classes_per_teacher", "normalise",  # what there is to learn from: tests/training, tests/zoo
    "patience", "watch", "watched_episodes",  # what comes of them, accuracies decide: each method's own tests
}  # fmt: skip
"""Options of the frame around a training, tested with it."""

ELSEWHERE = {
    "bidf-mkd": {"consensus"},  # of black boxes nothing is revised
    "distill": {"first_order", "inner_steps"},  # of the learner, which has no part in distilling
    "distill-one": {"first_order", "inner_steps", "consensus"},  # nobody to agree with
    "ota": {"reference"},  # which of three equal ones: tests/methods/test_ota.py
    # Who shares a group, three teachers hardly tell: tests/tasks.
    "tgr": {"embed_batch", "embed_filters", "probe", "group_by", "groups"},
}
SMALL = {
    "width": 8, "iterations": 8, "tasks": 2, "shot": 2, "query": 2, "inner_steps": 2, "validate_every": 100,
    "validation_episodes": 1, "recovered": "fresh", "recovered_per_class": 6, "inversion_steps": 2, "latent": 4,
    "generator_width": 4, "consensus": 0, "visits": 1, "init": "random", "patience": 1, "capacity": 2,
}  # fmt: skip
BASE = {
    "bidf-mkd": {
        "learner": "maml", "apis": 2, "boundary": 1.0, "boundary_after": 2, "generate_interval": 3, "kd_steps": 1,
        "memory_visits": 2, "query_inversion_steps": 2, "query_per_class": 2, "q": 2,
    },
    "free": {"learner": "maml", "student": "head", "teachers": 2, "warm_up": 1, "replay_limit": 2, "five_steps": 2,
             "shift": 0},
    "purer": {"learner": "maml", "warm_start": 0, "warm_up": 2, "candidates": 2},
    "teapot": {"learner": "maml", "teacher_policy": "policy-gradient", "asked": 1, "panel": 2, "panel_share": 0.5,
               "watched_episodes": 2, "iterations": 16},
    "tgr": {"learner": "maml", "student": "head", "teachers": 3, "groups": 2, "asked": 2, "beta": 0.1,
            "replay_limit": 2, "embed_visits": 1, "group_by": "random"},
    "dro": {"epochs": 2, "embedding": 4, "fit": None, "descent_steps": 2, "lr": 0.1},
}  # fmt: skip
UNSEEN = {"architecture", "width", "network", "normalise", "validation_episodes"}
"""Options that are not even recorded: which network it is, or how long it is looked at."""
ALONE = {("bidf-mkd", "consensus"), ("distill-one", "consensus"), ("ota", "reference")}
"""Nor are those that have one value here."""
KEPT = {"recovered": "kept"}
PANEL = {"learner": "protonet", "asked": 2, "patience": 3}
NEEDS = {
    "recovery_seed": KEPT, "keep": {"validate_every": 2, "validation_episodes": 2},
    "consensus": {**KEPT, "oracle": "autograd"}, "bn": {"oracle": "autograd"},
    "embed_visits": {"visits": 3}, "embedding_lr": {"descent_steps": 3}, "flip": {"inversion_steps": 6},
    ("teapot", "likelihood"): {"asked": 2},  # of one draw both are the same
    ("tgr", "student"): {"asked": 8},
    ("tgr", "asked"): {"learner": "protonet", "student": "panel", "asked": 8},
    **{("teapot", option): PANEL for option in ("panel", "panel_student", "panel_share", "panel_lr")},
}  # fmt: skip
"""By option, or by method and option: in which setting it has a part."""
OTHERS = {
    "classes_per_teacher": ["3"], "way": [4], "images_size": [24], "validate_every": [3], "generator_width": [8],
    "taught_by": ["all", "one"], "fit": [0.5], "asked": [1], "lr": [0.05], "held_out": [0.6], "boundary_after": [6],
    ("tgr", "asked"): [12],
}  # fmt: skip


def other_values(name, row, value):
    """Other values of an option; for a choice all others."""
    given = OTHERS.get((name, row["name"]), OTHERS.get(row["name"]))
    return [other for other in given if other != value] if given else others(row, value)


def cases():
    for name in sorted(METHODS):
        options = [row["name"] for row in METHODS.get(name).Config.describe()]
        yield from ((name, o) for o in options if o not in UNSEEN and (name, o) not in ALONE)


def _card(model):
    return json.dumps([model.adaptation_card(), model.details.get("reliability")], default=str)


@pytest.fixture(scope="module")
def known():
    """What came of the trainings, by what they follow from."""
    return {}


@pytest.fixture
def trained(known, patterns, doubled, tmp_path, monkeypatch):
    """Train a method on the recorded zoo, once in this process; returns its model, told as one can compare it, and
    its numbers."""
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))
    monkeypatch.setattr(context, "probe", lambda: load_teacher(record.ZOO / "002"))

    def train(method, config):
        key = method.name + config.model_dump_json()
        if key not in known:
            draws = torch.Generator().manual_seed(0)
            training = Training(open_zoo(record.ZOO), data=str(patterns), device=torch.device("cpu"), generator=draws)
            events = list(method(config).train(training))
            known[key] = (_card(events[-1].result), weights(events).tolist()), record.numbers_of(events)
        return known[key]

    return train


@pytest.mark.slow
@pytest.mark.stochastic
@pytest.mark.parametrize(("name", "option"), list(cases()))
def test_another_value_gives_another_model_and_the_one_it_gave(name, option, trained, margin):
    needs = NEEDS.get((name, option), NEEDS.get(option, {}))
    asked = {**SMALL, **BASE.get(name, {}), **needs}
    method, config = small(
        name, **{key: value for key, value in asked.items() if key in METHODS.get(name).Config.model_fields}
    )
    row = next(row for row in config.describe() if row["name"] == option)
    value = getattr(config, option)
    as_it_is, numbers = trained(method, config)
    if needs is PANEL:  # the gradients of so few pictures are mostly roundings
        numbers = {what: values for what, values in numbers.items() if what != "grad/alignment"}
    record.check(margin, "methods", f"{name}: {needs or 'small'}", numbers)
    for other in other_values(name, row, value):
        model, numbers = trained(method, config.override({option: other}))
        if option not in NOT_LEARNED | ELSEWHERE.get(name, set()):
            assert model != as_it_is, f"{option}={other}"
        # What teachers agree on is rounded to 16 bits, which makes a difference of a rounding of 64.
        if option != "consensus":
            record.check(margin, "methods", f"{name}: {option}={other}", numbers)


@pytest.mark.slow
@pytest.mark.stochastic
@pytest.mark.parametrize(("name", "preset"), list(product(sorted(METHODS), PRESETS)))
def test_a_preset_made_small_gives_what_it_gave(name, preset, trained, margin):
    method = METHODS.get(name)
    # Two questions at once have no gradient through batch normalisation but its roundings.
    sizes = {**SIZES, "consensus": 0, **({"asked": 8} if name == "tgr" else {})}
    sizes = {key: value for key, value in sizes.items() if key in method.Config.model_fields}
    _, numbers = trained(method, method.preset(preset).override(sizes))
    record.check(margin, "methods", f"{name}: preset {preset}", numbers)
