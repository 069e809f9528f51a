"""Putting the units of one network into the order of another's by optimal transport.

Singh and Jaggi, "Model Fusion via Optimal Transport", NeurIPS 2020, for networks of one shape. Layer by layer, the
alignment of the layers before it applied first, uniform masses on the units (neurons, filters) of both networks are
transported exactly. Between equally many units of equal mass an optimal plan is a permutation, so an aligned
network computes what it computed before. The ground metric between two units is the squared Euclidean distance of
their incoming weights, the bias or the scale and shift of the batch normalisation included.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from timm.layers.mlp import Mlp
from timm.models.resnet import BasicBlock, Bottleneck
from torch import nn

from dfml.core.errors import BadInput
from dfml.nets.backbones import Conv4, FewShotResNet, ResidualBlock

State = dict[str, torch.Tensor]
Orders = dict[str | None, torch.Tensor]
"""For each group of units int64 [n]: the unit that goes to each place."""
LayerWeights = tuple[torch.Tensor, torch.Tensor | None]
"""Weight [out, in, ...] and bias [out] of a layer."""
MOST_ITERATIONS = 1_000_000


@dataclass(frozen=True)
class Layer:
    """A linear map, its rows the units of one group, its columns those of another.

    Layers that are summed, as along a shortcut, write to one group and so are permuted alike.

    Attributes:
        weight: Name of its weight [out, in, ...]; after flattening a map several neighbouring columns are a unit.
        reads: Group of its columns; None for the network's input.
        writes: Group of its rows; None where they mean something of their own, such as classes.
        compared: Names of tensors [out] that are part of a unit's description.
        carried: Names of tensors [out] that only follow their units.
    """

    weight: str
    reads: str | None
    writes: str | None
    compared: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()


def match_units(cost: torch.Tensor) -> torch.Tensor:
    """The cheapest matching of equally many units: for each place the unit that goes there, int64 [n].

    ``cost`` [n, n] is that of moving unit i (row) to place j (column).
    """
    import ot  # takes two seconds, which nobody else should wait for

    # A mass of one each instead of 1 / n: then the simplex adds and subtracts whole numbers, without rounding.
    masses = np.ones(len(cost))
    plan = ot.emd(masses, masses, cost.double().cpu().numpy(), numItermax=MOST_ITERATIONS)
    return torch.from_numpy(plan.argmax(0))


def _described(state: State, layer: Layer, orders: Orders) -> torch.Tensor:
    """The units of a layer as float64 [out, everything]."""
    parts = [_with_columns(state[layer.weight], orders.get(layer.reads)).flatten(1)]
    parts += [state[name].unsqueeze(1) for name in layer.compared if name in state]
    return torch.cat([part.detach().cpu().double() for part in parts], 1)


def _with_columns(weight: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    if order is None:
        return weight
    places = weight.shape[1] // len(order)
    columns = order.unsqueeze(1) * places + torch.arange(places)
    return weight[:, columns.flatten().to(weight.device)]


def reorder(state: State, layers: list[Layer], orders: Orders) -> State:
    """The same network with its units in another order; tensors that no layer names are passed on."""
    moved = dict(state)
    for layer in layers:
        moved[layer.weight] = _with_columns(state[layer.weight], orders.get(layer.reads))
        if layer.writes in orders:
            for name in (layer.weight, *layer.compared, *layer.carried):
                if name in state:
                    moved[name] = moved[name][orders[layer.writes].to(moved[name].device)]
    return moved


def align_states(state: State, reference: State, layers: list[Layer]) -> State:
    """The network of ``state`` with its units in the order of the reference, from the first layer to the last.

    A group that several layers write to is matched where it first appears, by those of them whose own inputs are
    matched already; ``layers`` are in the order of the forward pass.

    Raises:
        BadInput: A tensor of the layers is missing, or its shapes differ. Those whose rows mean classes are compared
            with nothing, and may be of any shape.
    """
    for layer in layers:
        shapes = [list(s[layer.weight].shape) if layer.weight in s else None for s in (state, reference)]
        if shapes[0] is None or (layer.writes is not None and shapes[0] != shapes[1]):
            raise BadInput(
                f"transport aligns networks of one shape: {layer.weight} is {shapes[0]}, in the reference {shapes[1]}."
            )
    orders: Orders = {}
    for group in dict.fromkeys(layer.writes for layer in layers if layer.writes is not None):
        ready = [x for x in layers if x.writes == group and (x.reads is None or x.reads in orders)]
        mine = torch.cat([_described(state, layer, orders) for layer in ready], 1)
        wanted = torch.cat([_described(reference, layer, {}) for layer in ready], 1)
        orders[group] = match_units(torch.cdist(mine, wanted, compute_mode="donot_use_mm_for_euclid_dist").square())
    return reorder(state, layers, orders)


def align(layers: Sequence[LayerWeights], reference: Sequence[LayerWeights]) -> list[LayerWeights]:
    """Align a plain network, given as its layers in order, to another of the same shape; it computes the same function.

    Both are lists of (weight [out, in] or [out, in, h, w], bias [out] or None), for instance
    ``[(f.weight, f.bias) for f in net if isinstance(f, nn.Linear)]``. Only hidden units are permuted.

    Raises:
        BadInput: The shapes differ.
    """

    def named(each: Sequence[LayerWeights]) -> State:
        names = ("weight", "bias")
        return {f"{i}.{n}": t for i, pair in enumerate(each) for n, t in zip(names, pair, strict=True) if t is not None}

    last = len(layers) - 1
    plan = [
        Layer(f"{i}.weight", f"{i - 1}" if i else None, f"{i}" if i < last else None, (f"{i}.bias",))
        for i in range(len(layers))
    ]
    moved = align_states(named(layers), named(reference), plan)
    return [(moved[f"{i}.weight"], moved.get(f"{i}.bias")) for i in range(len(layers))]


def align_network(net: nn.Module, reference: nn.Module) -> nn.Module:
    """A copy of a network with its units in the order of the reference; see ``network_layers``."""
    aligned = copy.deepcopy(net)
    aligned.load_state_dict(align_states(net.state_dict(), reference.state_dict(), network_layers(net)))
    return aligned


def network_layers(net: nn.Module) -> list[Layer]:
    """The layers of a Conv4 or a few-shot ResNet whose units can be put into another order; of others see below."""
    layers: list[Layer] = []
    stream = None
    if isinstance(net, Conv4):
        for position in range(len(net.blocks)):
            block = f"blocks.{position}"
            layers.append(_convolution(f"{block}.0", f"{block}.1", stream, block))
            stream = block
    elif isinstance(net, FewShotResNet):
        if len(list(net.stem.children())):
            layers.append(_convolution("stem.0", "stem.1", None, "stem"))
            stream = "stem"
        for position, block in enumerate(net.blocks):
            added, stream = _residual(block, f"blocks.{position}", stream)
            layers += added
    else:
        return inner_layers(net)
    return [*layers, Layer("fc.weight", stream, None)]


def inner_layers(net: nn.Module) -> list[Layer]:
    """Of any network of timm's the layers inside blocks whose units nothing else reads.

    These are the hidden units of transformers' perceptrons (``Mlp``), and the channels between the convolutions of
    ResNets' blocks. What the blocks add to keeps its order, as do networks that are built otherwise.
    """
    layers: list[Layer] = []
    for name, part in net.named_modules():
        if isinstance(part, Mlp) and isinstance(part.fc1, nn.Linear) and isinstance(part.norm, nn.Identity):
            hidden = f"{name}.hidden"
            layers.append(Layer(f"{name}.fc1.weight", None, hidden, (f"{name}.fc1.bias",)))
            layers.append(Layer(f"{name}.fc2.weight", hidden, None))
        elif type(part) in (BasicBlock, Bottleneck) and all(conv.groups == 1 for conv in _convolutions(part)):
            count, reads = len(_convolutions(part)), None
            for i in range(1, count + 1):
                writes = f"{name}.{i}" if i < count else None
                layers.append(_convolution(f"{name}.conv{i}", f"{name}.bn{i}", reads, writes))
                reads = writes
    return layers


def _convolutions(block: nn.Module) -> list[nn.Conv2d]:
    return [getattr(block, f"conv{i}") for i in (1, 2, 3) if hasattr(block, f"conv{i}")]


def _convolution(conv: str, norm: str, reads: str | None, writes: str | None) -> Layer:
    # The bias of a convolution before a batch normalisation has no effect and drifts freely: it is not compared.
    statistics = (f"{norm}.running_mean", f"{norm}.running_var")
    return Layer(f"{conv}.weight", reads, writes, (f"{norm}.weight", f"{norm}.bias"), (f"{conv}.bias", *statistics))


def _residual(block: nn.Module, name: str, stream: str | None) -> tuple[list[Layer], str | None]:
    """A residual block's layers, and the group that it writes to."""
    # Without weights of its own a shortcut adds unit to unit: what it adds to keeps the order of what it adds.
    assert isinstance(block, ResidualBlock)
    identity = isinstance(block.shortcut, nn.Identity)
    after = stream if identity else name
    layers, reads, convolutions = [], stream, [i for i, part in enumerate(block.body) if isinstance(part, nn.Conv2d)]
    for i in convolutions:
        writes = after if i == convolutions[-1] else f"{name}.body.{i}"
        layers.append(_convolution(f"{name}.body.{i}", f"{name}.body.{i + 1}", reads, writes))
        reads = writes
    if not identity:
        layers.append(_convolution(f"{name}.shortcut.0", f"{name}.shortcut.1", stream, name))
    return layers, after
