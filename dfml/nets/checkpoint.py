"""A checkpoint: a flat dict of tensors and JSON values in one safetensors file. Nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dfml.core.errors import BadInput
from dfml.core.paths import write_atomically

FORMAT = "dfml-checkpoint-1"


def save_checkpoint(path: Path, state: dict[str, Any], about: dict[str, Any] | None = None) -> None:
    """Write a state beside ``path`` and rename it into place.

    Args:
        path: The file.
        state: Tensors of any device (a generator's state is a uint8 tensor), and JSON values;
            tuples come back as lists.
        about: JSON about the checkpoint itself: its step and such.

    Raises:
        RunFailed: The disk is full; an older file at ``path`` is intact.
        TypeError: A value is neither a tensor nor JSON; the message names its key.
    """
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            tensors[key] = value.detach().cpu().contiguous()
        else:
            plain[key] = _checked(key, value)
    # Tensors that share memory (an alias, a slice) would be refused: each is stored as its own copy.
    seen: set[int] = set()
    for key, value in tensors.items():
        address = value.untyped_storage().data_ptr()
        if address in seen:
            tensors[key] = value.clone()
        seen.add(address)
    metadata = {
        "format": FORMAT,
        "order": json.dumps(list(state)),
        "state": json.dumps(plain),
        "about": json.dumps(about or {}),
    }
    write_atomically(path, lambda part: save_file(tensors, part, metadata=metadata))


def load_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read (state, about) back; tensors are on the CPU, keys in the order they were given.

    Raises:
        BadInput: Missing, damaged, or no checkpoint of this format.
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


def _checked(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"checkpoint entry {key!r} is neither a tensor nor JSON: {error}") from None
    return value
