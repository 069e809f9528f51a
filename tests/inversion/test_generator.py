"""The generator's own idea: a network paints the images, and its noise is learned with it."""

import torch

from dfml.zoo.oracles.base import AutogradOracle
from tests.inversion.small import CPU, last, make

TINY = {"steps": 60, "lr": 0.01, "latent": 16, "width": 16}


def test_the_noise_is_learned_as_fast_as_its_own_learning_rate_says(tiny_zoo):
    oracles = [AutogradOracle(tiny_zoo.teacher(0))]
    kept, learned = (last(make("generator", steps=2, noise_lr=lr), oracles).images for lr in (0, 0.5))
    assert not torch.equal(kept, learned)
    begun = [last(make("generator", steps=1, noise_lr=lr), oracles).images for lr in (0, 0.5)]
    assert torch.equal(*begun)  # before the first step


def test_its_first_images_know_nothing_of_the_classes(tiny_zoo):
    oracles, work = [AutogradOracle(tiny_zoo.teacher(0))], make("generator", steps=1)
    first, other = (
        next(work.recover(oracles, [labels], generator=torch.Generator().manual_seed(0), device=CPU)).images
        for labels in (torch.tensor([0, 1, 2]), torch.tensor([3, 1, 4]))
    )
    assert torch.equal(first, other)
