import pytest
import torch

from dfml.methods import training


@pytest.fixture(autouse=True)
def tiny_probe(tiny_zoo_folder, monkeypatch):
    """A tiny probe, so that these tests need no assets."""
    from dfml.zoo.teacher import load_teacher

    monkeypatch.setattr(training, "probe", lambda: load_teacher(tiny_zoo_folder / "002"))


@pytest.fixture
def run(tiny_zoo, patterns):
    """Train a method and return its events."""

    def train(method, config, *, state=None, seed=0, zoo=tiny_zoo, data=str(patterns)):
        generator = torch.Generator().manual_seed(seed)
        return list(method(config).train(zoo, data=data, device=torch.device("cpu"), generator=generator, state=state))

    return train
