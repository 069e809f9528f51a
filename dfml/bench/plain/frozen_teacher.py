"""What the plain inversions share: a frozen classifier with its batch-normalisation distance, and a random move."""

import torch
import torch.nn.functional as F
from torch import nn

from dfml.nets.norm import channel_statistics


class FrozenTeacher:
    """A classifier in eval mode that gives no gradient to its weights, and watches its batch-normalisation layers.

    ``mean`` and ``std`` normalise the channels of images in [0, 1].
    """

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]) -> None:
        self.net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.mean, self.std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        self.distance: torch.Tensor | None = None
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(self._look)

    def _look(self, layer: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        if self.distance is None:
            return
        assert layer.running_mean is not None and layer.running_var is not None
        mean, var = channel_statistics(inputs[0])
        self.distance = self.distance + (mean - layer.running_mean).norm() + (var - layer.running_var).norm()

    def losses(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy of images [N, C, H, W], and the distance of their statistics from the remembered ones."""
        self.distance = torch.zeros(())
        entropy = F.cross_entropy(self(images), labels)
        distance, self.distance = self.distance, None
        return entropy, distance

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, way]."""
        return self.net(((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last))


def moved(images: torch.Tensor, generator: torch.Generator, shift: int, flip: bool) -> torch.Tensor:
    """Images [N, C, H, W] shifted by up to ``shift`` pixels around the border, and perhaps mirrored."""
    if shift:
        down, right = torch.randint(-shift, shift + 1, (2,), generator=generator).tolist()
        images = torch.roll(images, (down, right), dims=(2, 3))
    mirrored = flip and torch.rand((), generator=generator).item() < 0.5
    return images.flip(-1) if mirrored else images
