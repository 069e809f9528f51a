"""Choosing the device, and saying why."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time

import torch

from dfml.core.errors import BadInput
from dfml.core.process import at_most_as_wanted
from dfml.nets.waiting import watch_load

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)


def available_devices() -> list[str]:
    """The devices of this machine, best first."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, is_there in there.items() if is_there]


def pick_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """Return the device and the reason for it; ``wanted`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        BadInput: The device does not exist here.
    """
    here = available_devices()
    if wanted == "auto":
        name, reason = here[0], "the fastest device found" if here[0] != "cpu" else "no GPU was found"
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


def seconds_now(device: torch.device | str) -> float:
    """The clock, once a GPU has done its work: that is only queued when a call returns."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, until it ends; return whether it does.

    Every step of a training frees and takes back the same tensors of some megabytes. The C library would return
    such blocks to the system each time and get them again page by page, which takes a third to a half of the time of a
    Conv4's training step on a CPU. Only glibc is known to do so and to offer the switch.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    # Older ones refuse more than half a heap of a thread.
    kept = any(library.mallopt(_MMAP_THRESHOLD, size) for size in (2**28, 2**25))
    return bool(kept and library.mallopt(_TRIM_THRESHOLD, 2**29))


def use_threads(wanted: int | None = None) -> int:
    """Set torch's CPU threads; return the number.

    By default one a core that this process may use, at most ``$OMP_NUM_THREADS``.

    For processes that work and then end: their memory stays with them, see ``keep_memory``; how threads wait for each
    other follows the load, see ``watch_load``.
    """
    keep_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(wanted or at_most_as_wanted(cores))
    watch_load(torch.get_num_threads())
    return torch.get_num_threads()
