"""Every inverter at a size that recovers in seconds, as its own tests say."""

import importlib

import torch

from dfml.inversion import INVERTERS
from dfml.inversion.batched import labels_per_class
from dfml.nets import build_network
from dfml.zoo.teacher import Teacher, TeacherCard
from tests import conditions

CPU = torch.device("cpu")


def own(name, what, otherwise=None):
    """What an inverter's own tests say: ``TINY``, its small options; ``TRANSFORMERS_ONLY``,
    whether it takes no other teachers.
    """
    return getattr(importlib.import_module(f"tests.inversion.test_{name.replace('-', '_')}"), what, otherwise)


def make(name, **changes):
    cls = INVERTERS.get(name)
    return cls(cls.preset("demo").override({**own(name, "TINY"), **changes}))


def few(name, steps):
    """Options with which it takes so few steps, or only a step of its warm-up."""
    known = INVERTERS.get(name).Config.model_fields
    return {"warm_up": 1} if "warm_up" in known else {"steps": steps} if "steps" in known else {}


def last(work, oracles, per_class=4, seed=0):
    labels = [labels_per_class(o.way, per_class) for o in oracles]
    return list(
        work.recover(oracles, labels, generator=torch.Generator().manual_seed(conditions.seed(seed)), device=CPU)
    )[-1]


def warmed(name, others, **changes):
    work = make(name, **changes)
    for _ in work.fit(others, generator=torch.Generator().manual_seed(conditions.seed(9)), device=CPU):
        pass
    return work


def fresh_teacher(architecture, name="t", size=32, channels=3, way=5, seed=0, **args):
    net = build_network(architecture, seed=seed, num_classes=way, in_chans=channels, img_size=size, **args)
    card = TeacherCard(
        id=name, architecture=architecture, way=way, input_size=(channels, size, size),
        mean=[0.5] * channels, std=[0.25] * channels,
    )  # fmt: skip
    return Teacher(card, net)
