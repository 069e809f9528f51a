"""FREE's five steps, plainly: clones of a meta-generator adapt to teachers, and it moves towards where they ended."""

import copy
from typing import Any

import torch
from torch import nn

from dfml.bench.plain.frozen_teacher import FrozenTeacher
from dfml.bench.plain.generator_loop import train_generator


def meta_steps(
    net: nn.Module,
    teachers: list[FrozenTeacher],
    labels: torch.Tensor,
    draws: list[list[torch.Generator]],
    *,
    meta_lr: float,
    latent: int,
    **adapting: Any,  # noqa: ANN401 - of several types
) -> dict[str, torch.Tensor]:
    """Take a meta-step for each list of ``draws``, which has a generator for each teacher.

    ``adapting`` are the options of ``train_generator``, whose results of the last meta-step are returned.
    """
    net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), lr=meta_lr, betas=(0.5, 0.999))
    found: list[dict[str, torch.Tensor]] = []
    for generators in draws:
        found, outer = [], [torch.zeros_like(p) for p in net.parameters()]
        for teacher, generator in zip(teachers, generators, strict=True):
            clone, noise = copy.deepcopy(net), torch.randn(len(labels), latent, generator=generator)
            found.append(train_generator(clone, noise, teacher, labels, generator, **adapting))
            with torch.no_grad():
                for total, start, end in zip(outer, net.parameters(), clone.parameters(), strict=True):
                    total += start - end
        for parameter, total in zip(net.parameters(), outer, strict=True):
            parameter.grad = total / len(teachers)
        optimiser.step()
    return {name: torch.stack([each[name] for each in found]) for name in found[0]}
