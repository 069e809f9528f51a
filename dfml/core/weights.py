"""What a safetensors file says of itself: names, types and shapes of its tensors, read without its numbers."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from dfml.core.errors import BadInput
from dfml.core.paths import open_file

LARGEST_HEADER = 8 * 2**20
"""Bytes; the header of a network with 10,000 tensors has about one million."""


def tensor_shapes(path: Path, label: str) -> dict[str, list[int]]:
    """Shapes by name of the tensors in a weight file.

    Raises:
        BadInput: Missing, damaged, cut off, or with a header of more than ``LARGEST_HEADER`` bytes; ``label`` begins
            the message.
    """
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"its header claims {length:,} bytes")
        # It checks that the header and the length of the file agree.
        with safe_open(path, framework="np") as tensors:
            return {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise BadInput(f"{label}: {path.name} is missing in {path.parent}.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{label}: {path.name} is damaged or cut off ({error}).") from None
