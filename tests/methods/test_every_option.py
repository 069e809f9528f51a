"""Every option of every method reaches its training: with another value of it another model comes out.

An option that is read and handed on to nobody, or to the wrong one, is what a fault between two rooms looks like.
"""

import json

import pytest

from dfml.methods import METHODS
from tests.methods.small import small, weights

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
KEPT = {"recovered": "kept"}
PANEL = {"learner": "protonet", "asked": 2, "patience": 3}
NEEDS = {
    "recovery_seed": KEPT, "consensus": {**KEPT, "oracle": "autograd"}, "bn": {"oracle": "autograd"},
    "embed_visits": {"visits": 3}, "embedding_lr": {"descent_steps": 3}, "flip": {"inversion_steps": 6},
    ("tgr", "asked"): {"learner": "protonet", "student": "panel", "asked": 8},
    **{("teapot", option): PANEL for option in ("panel", "panel_student", "panel_share", "panel_lr")},
}  # fmt: skip
"""By option, or by method and option: in which setting it has a part."""
OTHERS = {
    "generator_width": [8], "taught_by": ["all", "one"], "fit": [0.5], "asked": [1], "lr": [0.05], "held_out": [0.6],
    "boundary_after": [6], ("tgr", "asked"): [12],
}  # fmt: skip


def others(name, row, value):
    """Other values of an option; for a choice all others."""
    given = OTHERS.get((name, row["name"]), OTHERS.get(row["name"], row["choices"]))
    if given:
        return [other for other in given if other != value]
    if row["type"] == "boolean":
        return [not value]
    more = (value or 0) + 1 if row["type"] == "integer" else 2 * (value or 0.25)
    return [more if row["maximum"] is None or more <= row["maximum"] else value / 2]


def cases():
    for name in sorted(METHODS):
        options = [row["name"] for row in METHODS.get(name).Config.describe()]
        yield from ((name, o) for o in options if o not in NOT_LEARNED | ELSEWHERE.get(name, set()))


def _card(model):
    return json.dumps([model.adaptation_card(), model.details.get("reliability")], default=str)


@pytest.fixture(scope="module")
def known():
    """Models by what made them."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), list(cases()))
def test_another_value_gives_another_model(name, option, run, known, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))
    asked = {**SMALL, **BASE.get(name, {}), **NEEDS.get((name, option), NEEDS.get(option, {}))}
    method, config = small(
        name, **{key: value for key, value in asked.items() if key in METHODS.get(name).Config.model_fields}
    )
    row = next(row for row in config.describe() if row["name"] == option)

    def model_of(config):
        key = name + config.model_dump_json()
        if key not in known:
            events = run(method, config)
            known[key] = _card(events[-1].result), weights(events).tolist()
        return known[key]

    for other in others(name, row, getattr(config, option)):
        assert model_of(config.override({option: other})) != model_of(config), f"{option}={other}"
