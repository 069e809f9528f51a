"""Fusing networks in parameter space: which weights of teachers are fused, as vectors, and their mean."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from dfml.core.errors import BadInput
from dfml.meta.learners import HEAD
from dfml.meta.model import MetaModel
from dfml.nets.any_network import state_for
from dfml.nets.hyper import AffineHyperNetwork

State = dict[str, torch.Tensor]


def fits(teacher: nn.Module, net: nn.Module) -> bool:
    """Whether the teacher's backbone has all of the network's tensors, in the same shapes."""
    have = state_for(teacher, net)
    wanted = {n: p for n, p in net.state_dict().items() if not n.startswith(HEAD)}
    return all(n in have and have[n].shape == p.shape for n, p in wanted.items())


def fusable(teacher: nn.Module, model: MetaModel, *, who: str, head: bool = False) -> State:
    """A teacher's tensors that are fused to the model's, without the last layer or with it.

    ``who`` names method and teacher in messages.

    Raises:
        BadInput: Another architecture, or a last layer of another shape.
    """
    if not fits(teacher, model.net):
        raise BadInput(
            f"{who} differs from the meta-model, {model.architecture} with {model.model_args}; fusing weights needs "
            "one architecture: set architecture and width to the teachers', or take a zoo of one architecture."
        )
    state, wanted = state_for(teacher, model.net), dict(model.net.named_parameters())
    names = [name for name in wanted if head or not name.startswith(HEAD)]
    if any(name not in state or state[name].shape != wanted[name].shape for name in names):
        raise BadInput(f"{who} has a last layer of another shape than the meta-model: set way to its, or head=fresh.")
    return {name: state[name] for name in names}


@dataclass(frozen=True)
class WeightSpace:
    """Teachers as vectors [D], on a device: the standardised weights of the network that they are fused to.

    ``hyper`` knows which tensors of the model are fused, and their units; ``head`` says whether the last layer is.
    """

    model: MetaModel
    hyper: AffineHyperNetwork
    head: bool
    device: torch.device

    def weights(self, net: nn.Module, who: str) -> torch.Tensor:
        """A teacher's weights [D] in their own units; for messages and errors see ``fusable``."""
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

    def fill(self, model: MetaModel, network: torch.Tensor) -> None:
        """Put a network [D] of these vectors into a model of the same kind."""
        load_backbone(model.net, self.hyper.restore(network.cpu()), head=self.head)


class MeanState:
    """The element-wise mean of states that come one after another, all with the same names and shapes.

    They wait in a file without a name, so that only one of them, then only one tensor of all of them is in memory.
    """

    def __init__(self) -> None:
        self.count, self._first = 0, State()
        self._file = tempfile.TemporaryFile()

    def add(self, state: State) -> None:
        """Take one more into the mean."""
        self._first = self._first or {name: tensor.detach().cpu() for name, tensor in state.items()}
        for name in self._first:
            numbers = state[name].detach().cpu().contiguous().flatten()
            self._file.write(numbers.view(torch.uint8).numpy().tobytes())
        self.count += 1

    def close(self) -> State:
        """Return the mean of floating tensors and the first state's others; empty where none came."""
        found, before, row = dict(self._first), 0, sum(tensor.nbytes for tensor in self._first.values())
        with self._file as file:
            for name, tensor in self._first.items():
                if tensor.is_floating_point():
                    rows, size = bytearray(self.count * tensor.nbytes), tensor.nbytes
                    for number in range(self.count):
                        file.seek(number * row + before)
                        rows[number * size : (number + 1) * size] = file.read(size)
                    found[name] = torch.frombuffer(rows, dtype=tensor.dtype).view(self.count, *tensor.shape).mean(0)
                before += tensor.nbytes
        return found


def average_states(states: Iterable[State]) -> State:
    """The element-wise mean of floating tensors; others are the first state's. See ``MeanState``."""
    mean = MeanState()
    for state in states:
        mean.add(state)
    return mean.close()


def load_average(model: MetaModel, nets: Iterable[nn.Module], *, head: bool = False) -> None:
    """Put the mean of the teachers' weights into a meta-model; the networks are taken one after another.

    Raises:
        BadInput: There is no teacher, or see ``fusable``.
    """
    load_mean(model, average_states(to_average(net, model, n, head=head) for n, net in enumerate(nets)), head=head)


def to_average(net: nn.Module, model: MetaModel, number: int, *, head: bool) -> State:
    """What of the ``number``-th network is averaged; see ``fusable`` for errors."""
    who = "averaging needs teachers of the meta-model's architecture: teacher number"
    return fusable(net, model, who=f"{who} {number}", head=head)


def load_mean(model: MetaModel, mean: State, *, head: bool) -> None:
    """Put a mean into a meta-model; ``BadInput``: it is empty."""
    if not mean:
        raise BadInput("no usable teacher to average.")
    load_backbone(model.net, mean, head=head)


def load_average_of_alike(model: MetaModel, nets: Iterable[nn.Module]) -> tuple[int, int]:
    """Put the mean of those teachers' weights that fit into a meta-model, if any; return how many do, of how many."""
    mean, count = MeanState(), 0
    for count, net in enumerate(nets, 1):
        if fits(net, model.net):
            mean.add(to_average(net, model, count - 1, head=False))
    if found := mean.close():
        load_mean(model, found, head=False)
    return mean.count, count


def load_backbone(net: nn.Module, state: State, *, head: bool) -> None:
    """Copy a teacher's weights, with the last layer or without it, into a network with buffer-free normalisation.

    Raises:
        BadInput: The last layer is asked for and has another shape.
    """
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(HEAD) and not head:
                continue
            if name.startswith(HEAD) and (name not in state or state[name].shape != parameter.shape):
                raise BadInput(
                    f"the teacher's last layer does not fit a head of {net.num_classes} outputs: "
                    "set way to the teacher's, or head=fresh."
                )
            parameter.copy_(state[name])
