"""Saving an optimiser as a flat dict of copied tensors."""

from __future__ import annotations

import torch


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Copies of an optimiser's tensors under ``<parameter>/<moment>``; parameters never stepped have none."""
    packed = optimiser.state_dict()["state"]
    return {f"{i}/{name}": value.detach().clone() for i, moments in packed.items() for name, value in moments.items()}


def load_optimiser_state(optimiser: torch.optim.Optimizer, flat: dict[str, torch.Tensor]) -> None:
    """Restore ``optimiser_state``."""
    whole = optimiser.state_dict()
    whole["state"] = {}
    for key, value in flat.items():
        position, name = key.split("/")
        whole["state"].setdefault(int(position), {})[name] = value.clone()
    optimiser.load_state_dict(whole)
    # A file has no memory layout, and sums may depend on it: moments lie as their parameters do.
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
