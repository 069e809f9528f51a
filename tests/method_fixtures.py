"""Fixtures of tests that train methods, in ``tests/methods`` and ``tests/training``, or compute what is recorded."""

# Loaded before pytest_configure sets the threads: nothing here may import torch but inside a fixture.
import shutil

import pytest

from tests import conditions


@pytest.fixture
def tiny_probe(tiny_zoo_folder, monkeypatch):
    """A tiny probe, so that these tests need no assets."""
    from dfml.training import context
    from dfml.zoo.teacher import load_teacher

    monkeypatch.setattr(context, "probe", lambda: load_teacher(tiny_zoo_folder / "002"))


@pytest.fixture(scope="module")
def mixed_folder(tiny_zoo_folder, grey_patterns, tmp_path_factory):
    """A colour Conv4 and a grey ResNet that read pictures of another size."""
    from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo
    from dfml.zoo.zoo import write_zoo

    folder = tmp_path_factory.mktemp("mixed")
    config = PretrainConfig(models=1, epochs=1, batch=16, width=4, flip=False, seed=2)
    pretrain_zoo(grey_patterns, folder / "grey", ["fewshot_resnet10"], config)
    for source, name in ((tiny_zoo_folder / "000", "000"), (folder / "grey" / "000", "grey")):
        shutil.copytree(source, folder / "mixed" / name)
    write_zoo(folder / "mixed", models=["000", "grey"], name="mixed")
    return folder / "mixed"


@pytest.fixture(scope="module")
def timm_folder(tiny_zoo_folder, patterns, tmp_path_factory):
    """A Conv4 and a small network out of timm's registry, for pictures alike."""
    from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo
    from dfml.zoo.zoo import write_zoo

    folder = tmp_path_factory.mktemp("timm")
    pretrain_zoo(patterns, folder / "byob", ["test_byobnet"], PretrainConfig(models=1, epochs=1, batch=32, seed=3))
    for source, name in ((tiny_zoo_folder / "000", "000"), (folder / "byob" / "000", "byob")):
        shutil.copytree(source, folder / "both" / name)
    write_zoo(folder / "both", models=["000", "byob"], name="both")
    return folder / "both"


@pytest.fixture
def mixed_zoo(mixed_folder):
    """See ``mixed_folder``; opened."""
    from dfml.zoo import open_zoo

    return open_zoo(mixed_folder)


@pytest.fixture
def run(tiny_zoo, patterns):
    """Train a method and return its events."""
    import torch

    from dfml.training.context import Training

    def train(method, config, *, state=None, seed=0, zoo=tiny_zoo, data=str(patterns)):
        generator = torch.Generator().manual_seed(conditions.seed(seed))
        training = Training(zoo, data=data, device=torch.device("cpu"), generator=generator, state=state)
        return list(method(config).train(training))

    return train


@pytest.fixture(scope="module")
def kept_weights():
    """What ``as_it_is`` has trained for a file."""
    return {}


@pytest.fixture
def as_it_is(run, kept_weights):
    """The weights of a file's one method and config without a change, trained once."""
    from tests.methods.small import weights

    def trained(method, config):
        if "weights" not in kept_weights:
            kept_weights["weights"] = weights(run(method, config))
        return kept_weights["weights"]

    return trained


@pytest.fixture
def doubled(monkeypatch):
    """Everything computes in float64: two processors then differ by far less than is compared, even where Adam makes
    whole steps of a rounding."""
    import torch

    from dfml.zoo.teacher import Teacher

    made = Teacher.__init__

    def doubled(self, *given, **named):
        made(self, *given, **named)
        self.net.double()

    monkeypatch.setattr(Teacher, "__init__", doubled)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
