"""Fusing teachers in parameter space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from dfml.core.errors import BadInput
from dfml.meta.learners import HEAD
from dfml.meta.model import MetaModel
from dfml.nets.hyper import AffineHyperNetwork

State = dict[str, torch.Tensor]


def fits(teacher: nn.Module, net: nn.Module) -> bool:
    """Whether the teacher's backbone has all of the network's tensors, in the same shapes."""
    have = teacher.state_dict()
    wanted = {n: p for n, p in net.state_dict().items() if not n.startswith(HEAD)}
    return all(n in have and have[n].shape == p.shape for n, p in wanted.items())


def fusable(teacher: nn.Module, model: MetaModel, *, who: str, head: bool = False) -> State:
    """A teacher's tensors that a method in parameter space fuses: those of the model, without the head or with it.

    Args:
        teacher: Its network.
        model: The meta-model that the fused tensors are for.
        who: Names method and teacher in messages.
        head: Whether the last layer is fused too.

    Raises:
        BadInput: Another architecture, or a last layer of another shape.
    """
    if not fits(teacher, model.net):
        raise BadInput(
            f"{who} differs from the meta-model, {model.architecture} with {model.model_args}; fusing weights needs "
            "one architecture: set architecture and width to the teachers', or take a zoo of one architecture."
        )
    state, wanted = teacher.state_dict(), dict(model.net.named_parameters())
    names = [name for name in wanted if head or not name.startswith(HEAD)]
    for name in names:
        if name not in state or state[name].shape != wanted[name].shape:
            raise BadInput(
                f"{who} has a last layer of another shape than the meta-model: set way to its, or head=fresh."
            )
    return {name: state[name] for name in names}


@dataclass(frozen=True)
class WeightSpace:
    """Teachers as vectors: the standardised weights of the network that they are fused to.

    Attributes:
        model: The meta-model.
        hyper: Knows which of its tensors are fused, and their units.
        head: Whether the last layer is among them.
        device: Where the vectors lie.
    """

    model: MetaModel
    hyper: AffineHyperNetwork
    head: bool
    device: torch.device

    def weights(self, net: nn.Module, who: str) -> torch.Tensor:
        """A teacher's weights [D] in their own units.

        Args:
            net: Its network; it must have the model's architecture.
            who: Names method and teacher in messages.

        Raises:
            BadInput: See ``fusable``.
        """
        return self.hyper.flatten(fusable(net, self.model, who=who, head=self.head))

    def networks(self, nets: list[nn.Module], who: list[str]) -> list[torch.Tensor]:
        """All teachers' weights [D] in units taken from them; see ``weights`` and ``network``."""
        read = [self.weights(net, name) for net, name in zip(nets, who, strict=True)]
        self.hyper.fit_units(torch.stack(read))
        return [self.network(weights) for weights in read]

    def network(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights [D] standardised, on the device."""
        return self.hyper.standardise(weights).to(self.device)

    def first_network(self, start: str) -> torch.Tensor:
        """What the hyper-network writes at first: the meta-model (``random``), or each tensor's mean (``zero``)."""
        fresh = self.network(self.hyper.flatten(self.model.params))
        return fresh if start == "random" else torch.zeros_like(fresh)


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
    wanted = [name for name, _ in model.net.named_parameters() if head or not name.startswith(HEAD)]
    states = [net.state_dict() for net in nets]
    for name in wanted:
        # Backbones fit by now, so only the last layer can differ.
        if any(name not in state or state[name].shape != states[0][name].shape for state in states):
            raise BadInput("the teachers' last layers differ in shape and cannot be averaged: set head=fresh.")
    mean = average_states([{name: state[name] for name in wanted} for state in states])
    load_backbone(model.net, mean, head=head)


def load_backbone(net: nn.Module, state: State, *, head: bool) -> None:
    """Copy a teacher's weights into a network with buffer-free normalisation.

    Args:
        net: Changed in place.
        state: A teacher's state; its buffers are left out.
        head: Whether the last layer is copied too.

    Raises:
        BadInput: The last layer is asked for and has another shape.
    """
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(HEAD):
                if not head:
                    continue
                if name not in state or state[name].shape != parameter.shape:
                    raise BadInput(
                        f"the teacher's last layer does not fit a head of {net.num_classes} outputs: "
                        "set way to the teacher's, or head=fresh."
                    )
            parameter.copy_(state[name])
