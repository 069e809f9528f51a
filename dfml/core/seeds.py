"""Seeds: one number per run, from which every part derives its own."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed for one part of a run, independent of every other part's.

    Args:
        seed: The run's seed.
        purpose: Names and positions of the part, such as ``("teacher", 3)``.

    Returns:
        An integer in [0, 2**63).
    """
    text = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
