"""A method is read in a few files, from its ``train`` to the last torch call; ``tests/reading.py`` names them."""

from functools import cache

import pytest

from tests import definitions, reading
from tests.test_architecture import SOURCES

MOST = {"purer": 5}
NOT_COUNTED = {
    "dfml.training.ours.",
    "dfml.training.context",
    "dfml.training.validation",
    "dfml.meta.model",
    "dfml.zoo.teacher",
    "dfml.zoo.oracles.",
    "dfml.nets.build",
    "dfml.nets.generator",
    "dfml.nets.checkpoint",
}
CACHED = (definitions.source, definitions.module, definitions.every_class, reading.own_methods)
files = cache(reading.files)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Lets the script read a project of these files instead of this one."""

    def write(**modules):
        for name, source in modules.items():
            path = tmp_path / "dfml" / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        monkeypatch.setattr(definitions, "ROOT", tmp_path)
        for each in CACHED:
            each.cache_clear()

    yield write
    for each in CACHED:
        each.cache_clear()


@pytest.mark.parametrize("name", reading.METHODS)
def test_a_methods_steps_are_read_in_a_few_files(name):
    found, _ = files(name)
    assert len(found) <= MOST.get(name, 7), found


def test_the_estimate_that_a_box_gives_is_counted_where_it_does():
    assert "dfml.zoo.oracles.choose" in files("bidf_mkd")[0]


def test_no_more_is_left_out_of_the_count_than_this():
    assert set(reading.NOT_COUNTED) == NOT_COUNTED and all(reading.NOT_COUNTED.values())
    modules = [".".join(path.relative_to(definitions.ROOT).with_suffix("").parts) for path in SOURCES]
    for entry in NOT_COUNTED:  # none has grown into a whole room
        assert sum(module.startswith(entry) for module in modules) in range(1, 6), entry


@pytest.mark.parametrize("name", reading.METHODS)
def test_what_is_entered_but_not_counted_is_named(name):
    found, others = files(name)
    assert "dfml.training.context" in others["entered, not counted"]
    assert not set(found) & {place for kind in others for place in others[kind]}
    assert all(not reading.is_counted(place) for place in others["entered, not counted"])
    assert others["calls not resolved there"] == []


def test_a_call_that_is_not_resolved_is_an_error_and_not_left_out(project):
    kinds = "class {}:\n    def recover(self):\n        return 1\n"
    mine = "class Mine:\n    def train(self, training):\n        return training.recover()\n"
    project(tasks__store=kinds.format("Store") + kinds.format("Other"), methods__mine=mine)
    with pytest.raises(reading.Unresolved, match="training.recover"):
        reading.files("mine")


def test_a_call_that_is_not_resolved_in_a_file_that_is_not_counted_is_told(project):
    kinds = "class {}:\n    def recover(self):\n        return 1\n"
    project(
        tasks__store=kinds.format("Store") + kinds.format("Other"),
        training__context="def begin(training):\n    return training.recover()\n",
        methods__mine="from dfml.training.context import begin\n\n\n"
        "class Mine:\n    def train(self, training):\n        return begin(training)\n",
    )
    found, others = reading.files("mine")
    assert found == ["dfml.methods.mine"] and others["entered, not counted"] == ["dfml.training.context"]
    assert others["calls not resolved there"] == ["dfml.training.context:2: training.recover()"]


def test_methods_that_are_handed_on_and_objects_that_are_called_are_followed(project):
    computing = "import torch\n\n\nclass {}:\n    def {}(self, x):\n        return torch.exp(x)\n"
    project(
        tasks__one=computing.format("One", "work"),
        tasks__two=computing.format("Two", "__call__"),
        tasks__three="from torch import exp\n\n\ndef three(x):\n    return exp(x)\n",
        methods__mine="from dfml.tasks.one import One\nfrom dfml.tasks.two import Two\n"
        "from dfml.tasks.three import three\n\n\nclass Mine:\n    def train(self, training):\n"
        "        one, two = One(), Two()\n        return map(one.work, [two(1)]), three\n",
    )
    assert reading.files("mine")[0] == ["dfml.methods.mine", *(f"dfml.tasks.{n}" for n in ("one", "three", "two"))]
