"""What a teacher's network is called on the command line, and what its constructor is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from dfml.core.errors import BadInput
from dfml.nets.build import build_network

SMALLEST_MAP = 2
"""Pixels a side of a timm network's last map: they are drawn for large pictures, and shrink small ones away."""

_UNANSWERED = (AssertionError, IndexError, RuntimeError, ValueError)
"""What networks raise at pictures of a size that they cannot take."""


@dataclass(frozen=True)
class Architecture:
    """A network's name and, where it is given, its width.

    Attributes:
        name: timm's name.
        width: Filters of the first stage (few-shot networks only), or None for the network's own.
    """

    name: str
    width: int | None = None

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read ``NAME`` or ``NAME:WIDTH``.

        Raises:
            BadInput: The width is no positive whole number.
        """
        name, colon, width = text.strip().partition(":")
        if colon and not (width.isascii() and width.isdecimal() and int(width) > 0):
            raise BadInput(
                f"architecture {text.strip()!r}: expected NAME or NAME:WIDTH, for instance fewshot_conv4:16."
            )
        return cls(name, int(width) if colon else None)

    def model_args(self, *, way: int, channels: int, size: int, width: int | None = None) -> dict[str, Any]:
        """Arguments with which the network is built for pictures [N, channels, size, size].

        Few-shot networks are told the size. Other networks of timm's are told to shrink a picture to no less than
        2 px a side (``output_stride``), where their constructor knows how.

        Args:
            way: Classes.
            channels: 1 or 3.
            size: Height and width in pixels.
            width: Taken where the architecture names none.

        Raises:
            BadInput: There is no such network, it takes no width, or it cannot take such pictures.
        """
        args: dict[str, Any] = {"num_classes": way, "in_chans": channels}
        width = self.width or width
        if self.name.startswith("fewshot_"):
            args["img_size"] = size
            if width:
                args["width"] = width
            build_network(self.name, **args)
            return args
        if self.width:
            raise BadInput(f"{self.name} takes no width, only the networks called fewshot_... do: write {self.name!r}.")
        reason = ""
        for further in _further(size):
            try:
                net = build_network(self.name, **args, **further).eval()
                with torch.no_grad():
                    answer = net(torch.zeros(2, channels, size, size))
            except BadInput as error:
                reason = reason if further and reason else str(error)
            except _UNANSWERED as error:
                reason = f"{self.name} cannot take pictures of {size} px ({error}): choose another --set size=..."
            else:
                if tuple(answer.shape) == (2, way):
                    return {**args, **further}
                reason = f"{self.name} answers with {list(answer.shape[1:])} numbers a picture, not {way}."
        raise BadInput(reason)


def _further(size: int) -> Iterator[dict[str, int]]:
    """What is tried, best first: a finer last map, nothing, and the size (vision transformers)."""
    yield {"output_stride": next((stride for stride in (32, 16) if size // stride >= SMALLEST_MAP), 8)}
    yield {}
    yield {"img_size": size}
