"""A zoo of many teachers: how many of them are in memory at once does not follow from how many there are."""

import gc
import weakref
from collections import deque

import pytest
import torch

from dfml.runs.driver import run_in_process
from dfml.runs.spec import RunSpec
from dfml.training.context import Training
from dfml.training.recovered import compare_zoo
from dfml.training.taking_part import everyone
from dfml.training.used_classes import as_used
from dfml.zoo import open_zoo
from dfml.zoo import teacher as held
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import write_zoo
from tests.methods.small import small
from tests.motley import save_teacher

MANY = 24
LIMIT = 8
"""Those of a step, those that are held beside them, and the probe."""
METHODS = ("random", "average", "best-teacher", "purer", "free", "tgr", "teapot", "bidf-mkd", "distill")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Teachers whose classes nobody else has."""
    folder = tmp_path_factory.mktemp("many")
    names = [f"t{number:02d}" for number in range(MANY)]
    for name in names:
        save_teacher(folder / name, "fewshot_conv4", 5, width=4, size=16)
    write_zoo(folder, models=names, name="many", shared_class_names=True)
    return folder


@pytest.fixture
def most_at_once(monkeypatch):
    """Counts the teachers that live whenever another is made; two are held, whatever they weigh."""
    alive, most = weakref.WeakSet(), [0]
    plain = Teacher.__init__

    def counted(self, *args, **more):
        plain(self, *args, **more)
        alive.add(self)
        if len(alive) > LIMIT:
            gc.collect()
        most[0] = max(most[0], len(alive))

    monkeypatch.setattr(Teacher, "__init__", counted)
    monkeypatch.setattr(Teacher, "__hash__", object.__hash__)
    monkeypatch.setattr(held, "MOST_BYTES", 2 * held.OBJECTS)
    return most


def drained(events):
    return deque(events, maxlen=1).pop().result


@pytest.mark.parametrize("name", METHODS)
def test_a_method_holds_few_teachers_at_once(many, most_at_once, name):
    changes = {"width": 4}
    changes |= {"bidf-mkd": {"apis": MANY}, "tgr": {"embed_visits": 1}, "distill": {"visits": 1}}.get(name, {})
    cls, config = small(name, **changes)
    zoo = as_used(open_zoo(many), config, 0)
    generator = torch.Generator().manual_seed(0)
    drained(cls(config).train(Training(zoo, device=torch.device("cpu"), generator=generator)))
    assert (name == "random") == (most_at_once[0] == 0)
    assert most_at_once[0] <= LIMIT


def test_the_mean_as_a_start_holds_few_teachers_at_once(many, most_at_once):
    cls, config = small("purer", width=4, init="average", iterations=3)
    training = Training(open_zoo(many), device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    drained(cls(config).train(training))
    assert 0 < most_at_once[0] <= LIMIT


def test_recovering_and_comparing_hold_few_teachers_at_once(many, most_at_once, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    _, config = small("tgr", width=4, embed_visits=1, visits=1)
    zoo = open_zoo(many)
    drained(compare_zoo(zoo, config, everyone(zoo), device=torch.device("cpu")))
    order = {"kind": "invert", "method": "pixels", "teachers": ["all"], "per_class": 1, "config": {"steps": 2}}
    spec = RunSpec.parse({**order, "zoo": str(many), "device": "cpu", "threads": 1})
    assert len(run_in_process(spec, path=tmp_path / "run")["teachers"]) == MANY
    assert 0 < most_at_once[0] <= LIMIT
