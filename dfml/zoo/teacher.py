"""A teacher: a trained classifier with a card, frozen, that takes images as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from dfml.core.model_config import network_arguments, read_config
from dfml.nets.build import fast_layout
from dfml.zoo.card import TeacherCard, read_card
from dfml.zoo.storage import load_network

__all__ = ["Teacher", "TeacherCard", "load_teacher", "match_channels", "match_size", "read_card"]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness (ITU-R BT.601)."""


def match_channels(x: torch.Tensor, channels: int) -> torch.Tensor:
    """Turn images [N, 1 or 3, H, W] to the wanted number of channels, grey by brightness."""
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.expand(-1, 3, -1, -1)
    weights = torch.tensor(LUMA, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def match_size(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize images [N, C, H, W] bilinearly, smoothed when they shrink."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=shrinks)


class Teacher(nn.Module):
    """A frozen classifier.

    Images come as float32 [N, C, H, W] in [0, 1], un-normalised, of any size, grey or colour: the teacher converts,
    resizes and normalises inside itself, so teachers of any architecture look at the same pixels.

    Args:
        card: Its description.
        net: The network; frozen and put into eval mode here.
        build: The constructor's arguments, as text; what tells apart networks whose weights have equal shapes.
    """

    def __init__(self, card: TeacherCard, net: nn.Module, build: str = "") -> None:
        super().__init__()
        self.card, self.build, self.net = card, build, net.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1), persistent=False)
        self.eval()

    @property
    def way(self) -> int:
        """Number of classes."""
        return self.card.way

    @property
    def layout(self) -> torch.memory_format:
        """In which its input should lie."""
        return fast_layout(self.card.architecture)

    def move(self, device: torch.device | str) -> Self:
        """Move it to where it computes; on a CPU into its fast layout, with the same values."""
        self.to(device)
        if torch.device(device).type == "cpu":
            self.net.to(memory_format=self.layout)
        return self

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Images as the network wants them: channels, size, normalisation."""
        x = match_size(match_channels(x, self.card.input_size[0]), self.card.input_size[1:])
        return (x - self.mean) / self.std

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, C, H, W] in [0, 1] to logits [N, way]; differentiable in ``x``."""
        return self.net(self.prepare(x))

    forward = logits

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images to the features before the last layer, [N, D]."""
        maps = self.net.forward_features(self.prepare(x))
        return self.net.forward_head(maps, pre_logits=True)

    def train(self, mode: bool = True) -> Teacher:
        """Teachers stay in eval mode: their batch statistics are part of what they know."""
        return super().train(False)


def load_teacher(folder: Path, stated: Mapping[str, Any] | None = None) -> Teacher:
    """Load a model folder as a teacher; for the arguments and errors see ``read_card`` and ``load_network``."""
    card = read_card(folder, stated)
    build = json.dumps(network_arguments(read_config(folder, stated)), sort_keys=True)
    return Teacher(card, load_network(folder, check_digest=card.sha256, stated=stated), build)
