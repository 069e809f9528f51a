"""What of a teacher counts in a run: some of its classes, in images of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Used:
    """What of a teacher counts.

    Attributes:
        shape: Channels, height and width of the images that it is asked for.
        slots: Positions in its head of the classes that count; its answers have these columns, in this order.
        way: Classes of its head.
    """

    shape: tuple[int, int, int]
    slots: Sequence[int]
    way: int

    def of(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | float]:
        """From logits [..., head] those of the classes that count, and what their cross-entropy leaves out, [...].

        This is -log of the probability that the teacher gives to all of them together: added to the cross-entropy
        among them, it makes that of the whole head, so that an image of a class is none of an unused one. 0 where
        all classes count.
        """
        if len(self.slots) == self.way:
            return logits, 0.0
        chosen = logits[..., torch.tensor(list(self.slots), device=logits.device)]
        return chosen, logits.logsumexp(-1) - chosen.logsumexp(-1)
