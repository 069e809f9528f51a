"""``bench sinusoid``: the toy regression of the DRO paper (Wang et al., UAI 2022, table 1).

Targets a * sin(x + phase) + b. One small network is trained on each training task; their weights are fused to one
initialisation; that is adapted to a few points of a new task and measured on other points of it. All tasks of a step
are computed together, as a batch of networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from dfml.core.config import Config
from dfml.core.seeds import derive_seed
from dfml.methods.dro import DroConfig, algorithm_1, draw_shares

if TYPE_CHECKING:
    import torch

AMPLITUDES, PHASES, OFFSETS, RANGE = (0.1, 5.0), (0.0, 2 * math.pi), (0.0, 3.0), 5.0
SIZES = (1, 50, 50, 1)
POINTS, QUERIES = (5, 10), 100

Net = list[tuple["torch.Tensor", "torch.Tensor"]]
"""A batch of networks: weight [T, out, in] and bias [T, 1, out] of each layer."""


class Settings(Config):
    """What the paper leaves open."""

    activation: Literal["relu", "tanh", "elu", "gelu", "silu"] = Field("silu", description="Between the layers.")
    init: Literal["torch", "xavier", "he", "normal"] = Field("torch", description="Distribution of the first weights.")
    shared_init: bool = Field(True, description="Whether all teachers start from the same weights.")
    teacher_steps: int = Field(1000, ge=0, le=100_000, description="Adam steps of a teacher.")
    teacher_lr: float = Field(0.01, gt=0, le=1, description="Adam's first learning rate on a teacher.")
    teacher_points: int = Field(20, ge=1, le=1000, description="Fresh points a step of a teacher.")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="At test.")
    test_lr: float = Field(0.003, gt=0, le=1, description="Its learning rate.")
    test_steps: int = Field(200, ge=1, le=100_000, description="Its steps.")


@dataclass(frozen=True)
class Tasks:
    """T sinusoids: amplitude, phase and offset, each [T, 1, 1]."""

    amplitude: torch.Tensor
    phase: torch.Tensor
    offset: torch.Tensor

    def __len__(self) -> int:
        return len(self.amplitude)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Targets at x, both [T, points, 1]."""
        import torch

        return self.amplitude * torch.sin(x + self.phase) + self.offset


def draw_tasks(count: int, seed: int) -> Tasks:
    """Tasks of the paper's distribution."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    ranges = (AMPLITUDES, PHASES, OFFSETS)
    return Tasks(*(low + (high - low) * torch.rand(count, 1, 1, generator=generator) for low, high in ranges))


def draw_points(tasks: int, points: int, generator: torch.Generator) -> torch.Tensor:
    """Inputs [tasks, points, 1], uniform."""
    import torch

    return RANGE * (2 * torch.rand(tasks, points, 1, generator=generator) - 1)


def draw_nets(count: int, settings: Settings, seed: int, *, same: bool = False) -> Net:
    """Networks with fresh weights; with ``same`` all alike."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    drawn = 1 if same else count
    nets = []
    for before, after in zip(SIZES[:-1], SIZES[1:], strict=True):
        weight, bias = torch.randn(drawn, after, before, generator=generator), torch.zeros(drawn, 1, after)
        if settings.init == "he":
            weight *= math.sqrt(2 / before)
        elif settings.init == "xavier":
            weight *= math.sqrt(2 / (before + after))
        elif settings.init == "torch":  # torch's own: uniform, biases too
            bound = 1 / math.sqrt(before)
            weight, bias = (bound * (2 * torch.rand(x.shape, generator=generator) - 1) for x in (weight, bias))
        nets.append((weight.expand(count, -1, -1).clone(), bias.expand(count, -1, -1).clone()))
    return nets


def predict(nets: Net, x: torch.Tensor, settings: Settings) -> torch.Tensor:
    """Outputs [T, points, 1] of T networks, each on its own inputs [points, 1]."""
    import torch
    import torch.nn.functional as F

    for position, (weight, bias) in enumerate(nets):
        x = torch.baddbmm(bias, x, weight.mT)
        if position < len(nets) - 1:
            x = getattr(torch if settings.activation == "tanh" else F, settings.activation)(x)
    return x


def errors(nets: Net, x: torch.Tensor, y: torch.Tensor, settings: Settings) -> torch.Tensor:
    """Mean squared error of each network, [T]."""
    return (predict(nets, x, settings) - y).square().mean((1, 2))


def as_leaves(nets: Net) -> Net:
    """Copies that can be trained."""
    return [(w.detach().clone().requires_grad_(True), b.detach().clone().requires_grad_(True)) for w, b in nets]


def train_teachers(tasks: Tasks, settings: Settings, seed: int) -> Net:
    """One network a task, trained on fresh points with Adam and a learning rate that falls to zero along a cosine."""
    import torch

    nets = as_leaves(draw_nets(len(tasks), settings, derive_seed(seed, "teachers"), same=settings.shared_init))
    generator = torch.Generator().manual_seed(derive_seed(seed, "teachers' points"))
    optimiser = torch.optim.Adam([x for layer in nets for x in layer], settings.teacher_lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, settings.teacher_steps))
    for _ in range(settings.teacher_steps):
        x = draw_points(len(tasks), settings.teacher_points, generator)
        optimiser.zero_grad(set_to_none=True)
        errors(nets, x, tasks(x), settings).sum().backward()
        optimiser.step()
        schedule.step()
    return [(weight.detach(), bias.detach()) for weight, bias in nets]


def adapted_errors(
    start: Net, tasks: Tasks, points: int, settings: Settings, seed: int, at: Iterable[int] | None = None
) -> dict[int, torch.Tensor]:
    """Adapt one network for all tasks, or one a task, to a few points of each; the seed samples points, not networks.

    Returns:
        The errors [T] on other points after each number of steps in ``at``; by default after the settings' steps alone.
    """
    import torch

    generator = torch.Generator().manual_seed(derive_seed(seed, "points", points))
    x, held = draw_points(len(tasks), points, generator), draw_points(len(tasks), QUERIES, generator)
    y, wanted = tasks(x), tasks(held)
    at = {settings.test_steps} if at is None else set(at)
    count = len(tasks)
    nets = as_leaves([(w.expand(count, -1, -1), b.expand(count, -1, -1)) for w, b in start])
    parameters = [part for layer in nets for part in layer]
    optimiser = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[settings.optimiser](parameters, settings.test_lr)
    found = {}
    for step in range(1, max(at) + 1):
        optimiser.zero_grad(set_to_none=True)
        # Summed over tasks: each network gets the gradient of its own mean error.
        errors(nets, x, y, settings).sum().backward()
        optimiser.step()
        if step in at:
            with torch.no_grad():
                found[step] = errors(nets, held, wanted, settings)
    return found


def average(teachers: Net) -> Net:
    """The element-wise mean."""
    return [(weight.mean(0, keepdim=True), bias.mean(0, keepdim=True)) for weight, bias in teachers]


def transported(teachers: Net, seed: int) -> Net:
    """OTA: all teachers' neurons in the order of one of them, sampled uniformly, by optimal transport."""
    import torch

    from dfml.meta.alignment import align

    count = len(teachers[0][0])
    single = [[(weight[t], bias[t, 0]) for weight, bias in teachers] for t in range(count)]
    drawn = torch.randint(count, (), generator=torch.Generator().manual_seed(derive_seed(seed, "reference")))
    reference = single[int(drawn)]
    aligned = [cast(Net, align(layers, reference)) for layers in single]
    return [
        (torch.stack([net[layer][0] for net in aligned]), torch.stack([net[layer][1] for net in aligned]).unsqueeze(1))
        for layer in range(len(teachers))
    ]


def robust(teachers: Net, config: DroConfig, settings: Settings, seed: int) -> Net:
    """DRO, offline (Alg. 1): the network of the mean embedding."""
    import torch

    from dfml.meta.robust_fusion import RobustFusion
    from dfml.nets.hyper import AffineHyperNetwork

    count = len(teachers[0][0])
    generator = torch.Generator().manual_seed(derive_seed(seed, "dro"))
    names = [(f"{layer}.weight", f"{layer}.bias") for layer in range(len(teachers))]

    def named(nets: Net, which: int) -> dict[str, torch.Tensor]:
        return {n: x[which] for pair, layer in zip(names, nets, strict=True) for n, x in zip(pair, layer, strict=True)}

    hyper = AffineHyperNetwork(named(teachers, 0))
    flat = torch.stack([hyper.flatten(named(teachers, t)) for t in range(count)])
    hyper.fit_units(flat)
    fresh = hyper.flatten(named(draw_nets(1, settings, derive_seed(seed, "fresh")), 0))
    first = hyper.standardise(fresh)
    first = first if config.start == "random" else torch.zeros_like(first)
    fusion = RobustFusion(config, first, config.epochs * count)
    for _ in range(count):
        fusion.meet(generator)
    for _ in algorithm_1(fusion, hyper.standardise(flat), draw_shares(count, config, generator), generator):
        pass
    fused = hyper.restore(fusion.initialisation())
    return [(fused[weight].unsqueeze(0), fused[bias].unsqueeze(0)) for weight, bias in names]
