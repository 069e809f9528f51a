"""The conditional generator's own idea: the network is told the class of each image."""

import torch

from dfml.nets.generator import ImageGenerator
from dfml.zoo.oracles.base import AutogradOracle
from tests.inversion.small import CPU, last, make

TINY = {"steps": 60, "lr": 0.01, "latent": 16, "width": 16}


def test_an_image_follows_its_class_before_anything_is_learned(tiny_zoo):
    oracles, work = [AutogradOracle(tiny_zoo.teacher(0))], make("conditional-generator", steps=1)
    first, again, other = (
        next(work.recover(oracles, [labels], generator=torch.Generator().manual_seed(0), device=CPU)).images
        for labels in (torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), torch.tensor([3, 1, 4]))
    )
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=1e-3)


def test_its_noise_is_drawn_once_and_stays(tiny_zoo, monkeypatch):
    seen, compute = [], ImageGenerator.forward

    def spy(net, z, *labels):
        seen.append(z.detach().clone())
        return compute(net, z, *labels)

    monkeypatch.setattr(ImageGenerator, "forward", spy)
    last(make("conditional-generator", steps=4), [AutogradOracle(tiny_zoo.teacher(0))])
    assert len(seen) == 4 and len(seen[0].unique(dim=0)) == len(seen[0])
    assert all(torch.equal(z, seen[0]) for z in seen)
