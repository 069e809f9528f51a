"""The most memory that this process ever held."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

MIB = 2**20


def peak_memory_mib(device: torch.device) -> float:
    """The peak in MiB: of the GPU's allocator, or of the whole process on a CPU, libraries included.

    Only honest in a process that did nothing else before.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / MIB
    return process_peak_mib()


def process_peak_mib() -> float:
    """The largest resident size of this process so far, in MiB."""
    try:
        # Linux's getrusage also counts what the parent held when it started this process.
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="ignore").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / MIB
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024
