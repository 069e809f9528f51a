"""Fusing teachers in parameter space."""

from __future__ import annotations

import torch
from torch import nn

from dfml.core.errors import BadInput
from dfml.meta.learners import HEAD
from dfml.meta.model import MetaModel

State = dict[str, torch.Tensor]


def fits(teacher: nn.Module, net: nn.Module) -> bool:
    """Whether the teacher's backbone has all of the network's tensors, in the same shapes."""
    have = teacher.state_dict()
    wanted = {n: p for n, p in net.state_dict().items() if not n.startswith(HEAD)}
    return all(n in have and have[n].shape == p.shape for n, p in wanted.items())


def average_states(states: list[State]) -> State:
    """The element-wise mean of floating tensors; others are the first state's."""
    mean = {}
    for name, first in states[0].items():
        mean[name] = torch.stack([s[name] for s in states]).mean(0) if first.is_floating_point() else first
    return mean


def load_average(model: MetaModel, nets: list[nn.Module], *, head: bool = False) -> None:
    """Put the mean of the teachers' weights into a meta-model.

    Raises:
        BadInput: A teacher's backbone differs from the model's.
    """
    if not nets:
        raise BadInput("no usable teacher to average.")
    for position, net in enumerate(nets):
        if not fits(net, model.net):
            raise BadInput(
                f"averaging needs teachers of the meta-model's architecture: teacher number {position} differs from "
                f"{model.architecture} with {model.model_args}."
            )
    load_backbone(model.net, average_states([net.state_dict() for net in nets]), head=head)


def load_backbone(net: nn.Module, state: State, *, head: bool) -> None:
    """Copy a teacher's weights into a network with buffer-free normalisation.

    Args:
        net: Changed in place.
        state: A teacher's state; its buffers are left out.
        head: Whether the last layer is copied too (where it has the same shape).
    """
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(HEAD) and (not head or state[name].shape != parameter.shape):
                continue
            parameter.copy_(state[name])
