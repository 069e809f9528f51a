"""Options of recovering: what a config asks for is what a run and its preparation get."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.methods.distill import Distill
from dfml.methods.recovering import recoveries_of
from dfml.tasks.agreed import AgreedRecoveries
from tests.methods.test_contract import small


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))


def test_a_method_asks_for_them_by_an_option(tiny_zoo, run, cache):
    method, config = small("distill", recovered="kept", agreement=1, visits=1)
    assert isinstance(recoveries_of(tiny_zoo, config, "generator", device=torch.device("cpu")), AgreedRecoveries)
    assert run(method, config)[-1].result.details["preparation_seconds"] == 0
    assert run(method, config)[-1].result.details["preparation_seconds"] > 0
    *_, done = Distill(config).prepare(tiny_zoo, device=torch.device("cpu"))
    assert isinstance(done, Done) and done.result["kept_seconds"] > 0


def test_fresh_recoveries_are_not_revised(tiny_zoo):
    _, config = small("distill", recovered="fresh", agreement=1)
    with pytest.raises(BadInput, match="agreement revises kept recoveries"):
        recoveries_of(tiny_zoo, config, "generator", device=torch.device("cpu"))
