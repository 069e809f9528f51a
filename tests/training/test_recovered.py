"""Options of recovering: what a config asks for is what a run and its preparation get."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done
from dfml.core.paths import read_json, write_json
from dfml.methods import METHODS
from dfml.methods.distill import Distill
from dfml.tasks.consensus_cache import ConsensusRecoveries
from dfml.training.recovered import recoveries_of
from dfml.zoo import open_zoo
from tests.methods.small import small


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))


def test_a_method_asks_for_them_by_an_option(tiny_zoo, run, cache):
    method, config = small("distill", recovered="kept", consensus=1, visits=1)
    assert isinstance(recoveries_of(tiny_zoo, config, "generator", device=torch.device("cpu")), ConsensusRecoveries)
    assert run(method, config)[-1].result.details["preparation_seconds"] == 0
    assert run(method, config)[-1].result.details["preparation_seconds"] > 0
    *_, done = Distill(config).prepare(tiny_zoo, device=torch.device("cpu"))
    assert isinstance(done, Done) and done.result["kept_seconds"] > 0


def test_teachers_that_only_answer_are_not_revised_behind_their_owners_back(zoo_copy):
    card = zoo_copy / "001" / "dfml.json"
    write_json(card, {**read_json(card, "card"), "access": "queries"})
    _, config = small("distill", recovered="kept", consensus=1, visits=1)
    with pytest.raises(BadInput, match="'001' of .* only answers queries: set consensus=0"):
        recoveries_of(open_zoo(zoo_copy), config, "generator", device=torch.device("cpu"))


@pytest.mark.parametrize("name", ["bidf-mkd", "distill", "teapot", "tgr"])
def test_endless_visits_are_not_prepared(name, tiny_zoo, cache):
    method = METHODS.get(name)
    config = method.preset("paper").override({"recovered": "kept", "visits": 1_000_000})
    with pytest.raises(BadInput, match="1,000,000 visits of 3 teachers are not kept: set visits"):
        list(method(config).prepare(tiny_zoo, device=torch.device("cpu")))


def test_fresh_recoveries_are_not_revised(tiny_zoo):
    _, config = small("distill", recovered="fresh", consensus=1)
    with pytest.raises(BadInput, match="consensus revises kept recoveries"):
        recoveries_of(tiny_zoo, config, "generator", device=torch.device("cpu"))
