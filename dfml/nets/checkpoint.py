"""Checkpoints: a flat dict of tensors and JSON values in one safetensors file, nothing pickled; optimisers as such.

Nested dicts are flattened under path-like keys.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dfml.core.errors import BadInput
from dfml.core.paths import write_atomically

SEPARATOR = "/"


def flatten_state(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn ``{"a": {"b": 1}}`` into ``{"a/b": 1}``; lists and other values stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        path = f"{prefix}{SEPARATOR}{key}" if prefix else str(key)
        if isinstance(value, dict):
            flat.update(flatten_state(value, path))
        else:
            flat[path] = value
    return flat


def part_of_state(flat: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries below ``prefix``, without it."""
    start = prefix + SEPARATOR
    return {key[len(start) :]: value for key, value in flat.items() if key.startswith(start)}


FORMAT = "dfml-checkpoint-1"


def save_checkpoint(path: Path, state: dict[str, Any], about: dict[str, Any] | None = None) -> None:
    """Write a state beside ``path`` and rename it into place.

    A state is tensors of any device (a generator's is a uint8 tensor), and JSON values; tuples come back as lists.
    ``about`` is JSON about the checkpoint itself: its step and such. ``RunFailed``: the disk is full; an older file at
    ``path`` is intact; ``TypeError``: a value is neither a tensor nor JSON; the message names its key.
    """
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, Any] = {}
    seen: set[int] = set()
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            tensor = value.detach().cpu().contiguous()
            address = tensor.untyped_storage().data_ptr()
            # Tensors that share memory (an alias, a slice) would be refused: each is stored as its own copy.
            tensors[key] = tensor.clone() if address in seen else tensor
            seen.add(address)
            continue
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"checkpoint entry {key!r} is neither a tensor nor JSON: {error}") from None
        plain[key] = value
    parts = {"order": list(state), "state": plain, "about": about or {}}
    metadata = {"format": FORMAT, **{name: json.dumps(part) for name, part in parts.items()}}
    write_atomically(path, lambda part: save_file(tensors, part, metadata=metadata))


def load_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read (state, about) back; tensors are on the CPU, keys in the order they were given.

    ``BadInput``: missing, damaged, or no checkpoint of this format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise BadInput(f"{path.name} is no checkpoint of this version ({metadata.get('format', 'no format')}).")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        plain = json.loads(metadata["state"])
        state = {key: tensors[key] if key in tensors else plain[key] for key in json.loads(metadata["order"])}
        return state, json.loads(metadata["about"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path.name} is missing or damaged ({error}).") from None


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
