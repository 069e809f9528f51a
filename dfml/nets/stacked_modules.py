"""Several networks of one build, side by side: one after another, or stacked and computed in one pass."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.func import functional_call, stack_module_state


class StackedModules:
    """K networks of the same build that map [K, ...] to [K, ...], each its own slice.

    Args:
        modules: The networks; none of them is changed by stacking, which copies their weights.
        stacked: Compute all in one pass (``torch.func.vmap`` over stacked weights), which pays on a GPU.
    """

    def __init__(self, modules: list[nn.Module], *, stacked: bool) -> None:
        self.stacked = stacked
        self.modules = modules
        if stacked:
            self._params, self._buffers = stack_module_state(modules)
            self._empty = copy.deepcopy(modules[0]).to("meta")

    def parameters(self) -> list[torch.Tensor]:
        """The leaves to optimise."""
        if self.stacked:
            return list(self._params.values())
        return [p for module in self.modules for p in module.parameters()]

    def of_each(self) -> list[dict[str, torch.Tensor]]:
        """For each network its parameters by name; views, where they are stacked."""
        if self.stacked:
            return [{n: p[k] for n, p in self._params.items()} for k in range(len(self.modules))]
        return [dict(module.named_parameters()) for module in self.modules]

    def gradients(self) -> list[dict[str, torch.Tensor]]:
        """For each network the gradients of its parameters by name, after ``backward``."""
        if self.stacked:
            return [{n: p.grad[k] for n, p in self._params.items()} for k in range(len(self.modules))]
        return [{n: p.grad for n, p in module.named_parameters()} for module in self.modules]

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute; every input has the networks along its first axis."""
        if not self.stacked:
            return torch.stack([module(*(x[k] for x in inputs)) for k, module in enumerate(self.modules)])

        def one(params: dict[str, torch.Tensor], buffers: dict[str, torch.Tensor], *x: torch.Tensor) -> torch.Tensor:
            return functional_call(self._empty, (params, buffers), x)

        return torch.vmap(one)(self._params, self._buffers, *inputs)
