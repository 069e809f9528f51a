"""Which size and channels a data set's pictures get: decided from the headers of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfml.data.pictures import read_header


@dataclass(frozen=True)
class Survey:
    """What the headers of all pictures say.

    Attributes:
        total: Number of pictures.
        grey: How many of them have no colours.
        smallest: The smallest of the shorter sides, in pixels.
        middle: Their median, the lower one of an even number.
        largest: The largest.
    """

    total: int
    grey: int
    smallest: int
    middle: int
    largest: int

    def decide(self, size: int | None, channels: int | None, *, largest: int) -> tuple[int, int, str]:
        """Fill in what is not asked for.

        One colour picture makes the set colour, since grey can be shown in colour and not the other way round. The
        size is the median of the shorter sides: that of most pictures where most agree, and never that of an odd one.

        Args:
            size: Asked for, or None.
            channels: Likewise.
            largest: The size that is not decided upon where pictures are larger still.

        Returns:
            Size, channels, and in words what was decided between unlike pictures; empty where all are alike.
        """
        decided = size or min(self.middle, largest), channels or (1 if self.grey == self.total else 3)
        parts = []
        if channels is None and 0 < self.grey < self.total:
            parts.append(f"{self.grey} grey picture{'s' * (self.grey > 1)} of {self.total} widened")
        if size is None and self.smallest != self.largest:
            parts.append(f"sizes {self.smallest} to {self.largest} resized to {decided[0]}")
        kind = f"{'grey' if decided[1] == 1 else 'colour'}, {decided[0]} px"
        return *decided, "; ".join([kind, *parts]) if parts else ""


def survey(classes: dict[str, list[Path]]) -> Survey:
    """Read all headers.

    Args:
        classes: Each class's pictures; at least one.

    Raises:
        BadInput: One is no picture; the message names it with its class.
    """
    headers = [
        read_header(path, name=f"{name}/{path.name}") for name, files in classes.items() for path in files
    ]  # one after the other: Pillow reads headers in Python, so threads would only wait for each other
    sides = sorted(header.side for header in headers)
    return Survey(len(sides), sum(header.grey for header in headers), sides[0], sides[(len(sides) - 1) // 2], sides[-1])
