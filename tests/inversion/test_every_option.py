"""Every option of every inverter reaches its pictures, and a seed's pictures stay what they were."""

import pytest
import torch

from dfml.inversion import INVERTERS
from dfml.inversion.batched import labels_per_class
from dfml.zoo import open_zoo
from dfml.zoo.oracles.base import AutogradOracle
from tests.inversion.small import CPU, own
from tests.inversion.transformers import make_teacher
from tests.options import others
from tests.recorded import record

BASE = {"steps": 5, "tv": 0.01, "l2": 0.01, "latent": 8, "width": 8, "warm_up": 2, "teachers": 2, "per_class": 2,
        "others": 1, "class_lr": 0.1, "drop_at": [0.5, 0.8]}  # fmt: skip
NOWHERE = {"together"}
"""Whether it takes teachers in one pass: the pictures are the same (``tests/inversion/test_inverters.py``)."""
OTHERS = {"drop_at": [[0.2, 0.5]], "width": [12], "finish": [0.5], "keep": [0.5], "others": [2], "teachers": [1]}


def cases():
    for name in INVERTERS:
        rows = INVERTERS.get(name).Config.describe()
        yield from ((name, row["name"]) for row in rows if row["name"] not in NOWHERE)


def pictures(name, config):
    """The steps of recovering two pictures a class of two or three teachers."""
    work = INVERTERS.get(name)(config)
    if own(name, "TRANSFORMERS_ONLY"):
        oracles = [AutogradOracle(make_teacher(kind)) for kind in ("colour", "average")]
    else:
        zoo = open_zoo(record.ZOO)
        oracles = [AutogradOracle(zoo.teacher(i), class_keys=zoo.class_keys()[i]) for i in zoo.ids]
    asked = oracles[:1] if name == "dynamic-set" else oracles  # the others may take part
    draws = torch.Generator().manual_seed(0)
    for _ in work.fit(oracles, generator=draws, device=CPU):
        pass
    return list(work.recover(asked, [labels_per_class(5, 2)] * len(asked), generator=draws, device=CPU))


@pytest.fixture(scope="module")
def known():
    """The steps of what was recovered, by inverter and config."""
    return {}


@pytest.mark.slow
@pytest.mark.stochastic
@pytest.mark.parametrize(("name", "option"), list(cases()))
def test_another_value_gives_other_pictures_and_those_it_gave(name, option, known, doubled, margin):
    cls = INVERTERS.get(name)
    config = cls.preset("demo").override({key: v for key, v in BASE.items() if key in cls.Config.model_fields})
    if name not in known:
        known[name] = pictures(name, config)
    record.check(margin, "inverters", name, numbers_of(known[name]))
    row = next(row for row in config.describe() if row["name"] == option)
    for other in OTHERS.get(option) or others(row, getattr(config, option)):
        found = pictures(name, config.override({option: other}))
        differ = not torch.equal(found[-1].images, known[name][-1].images)
        assert differ, f"{option}={other} makes no difference"
        record.check(margin, "inverters", f"{name}: {option}={other}", numbers_of(found))


def numbers_of(steps):
    """The losses of the first and the last step, and the pictures' projections."""
    found = {f"loss/{what}": [steps[0].losses[what], steps[-1].losses[what]] for what in sorted(steps[-1].losses)}
    return {**found, "pictures": record.projections(steps[-1].images)}
