"""How many threads a process may take."""

from __future__ import annotations

import os


def at_most_as_wanted(count: int) -> int:
    """``count``, or ``$OMP_NUM_THREADS`` where that is less: threads that share a core wait for each other."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, int(limit) if limit.isdecimal() and int(limit) else count))
