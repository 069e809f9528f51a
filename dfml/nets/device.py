"""Choosing the device, and saying why."""

from __future__ import annotations

import os

import torch

from dfml.core.errors import BadInput


def available_devices() -> list[str]:
    """The devices of this machine, best first."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def pick_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """Return the device and the reason for it.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        BadInput: The device does not exist here.
    """
    here = available_devices()
    if wanted == "auto":
        name = here[0]
        reason = "the fastest device found" if name != "cpu" else "no GPU was found"
    elif wanted in here or (wanted.startswith("cuda:") and wanted[5:].isdecimal() and "cuda" in here):
        name, reason = wanted, "chosen"
    else:
        raise BadInput(f"device {wanted!r} is not available here; available: auto, {', '.join(here)}.")
    if name.startswith("cuda"):
        try:
            reason += f" ({torch.cuda.get_device_name(name)})"
        except (AssertionError, RuntimeError, ValueError):
            raise BadInput(f"device {name!r} does not exist: there are {torch.cuda.device_count()} GPUs.") from None
    return torch.device(name), reason


def use_threads(wanted: int | None = None) -> int:
    """Set torch's CPU threads, by default one a core that this process may use; return the number."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(wanted or cores)
    return torch.get_num_threads()
