"""The published comparison for TEAPOT's policy: refuse classes that a teacher does not know from other teachers."""

from dataclasses import replace
from typing import Any

import torch

from dfml.data.episodes import PseudoTask
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory

LEAST = 0.5
"""Share of a class's images in the memory that a teacher must name so that its own are taken."""
IN_A_ROW = 3
"""Refusals after which the memory's images of a class are thought to be the false ones, and dropped."""


class Rejection:
    """Takes a recovery's classes one by one, by what its teacher says of images that others left of them in the memory.

    A class of which the memory has none of others is taken on trust, so that what comes first decides. ``refused``
    counts the classes of each teacher that were not taken. As in the authors' code; that a teacher is not asked about
    its own images is ours.
    """

    def __init__(self, recoveries: Recoveries) -> None:
        self.recoveries = recoveries
        self.in_a_row: dict[str, int] = {}
        self.refused: dict[str, int] = {}

    def taken(self, found: PseudoTask, memory: TaskMemory) -> PseudoTask:
        """The part of a recovery whose classes are taken: all of it, some, or nothing."""
        keys, taken = memory.class_keys[found.teacher_id], []
        for slot in found.labels.unique().tolist():
            known = memory.of_others(keys[slot], found.teacher_id)
            if known is None or self._names(found.teacher_id, known, slot) >= LEAST:
                taken.append(slot)
                self.in_a_row.pop(keys[slot], None)
                continue
            self.refused[found.teacher_id] = self.refused.get(found.teacher_id, 0) + 1
            self.in_a_row[keys[slot]] = self.in_a_row.get(keys[slot], 0) + 1
            if self.in_a_row[keys[slot]] == IN_A_ROW:
                memory.drop(keys[slot])
                del self.in_a_row[keys[slot]]
        rows = [row for row, label in enumerate(found.labels.tolist()) if label in taken]
        return replace(
            found, images=found.images[rows], labels=found.labels[rows], soft_targets=found.soft_targets[rows]
        )

    def _names(self, teacher: str, images: torch.Tensor, slot: int) -> float:
        return float((self.recoveries.ask(teacher, images).argmax(1) == slot).float().mean())

    def state(self) -> dict[str, Any]:
        """For checkpoints."""
        return {
            "in_a_row": [list(pair) for pair in self.in_a_row.items()],
            "refused": [*map(list, self.refused.items())],
        }

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        self.in_a_row = {key: int(count) for key, count in flat["in_a_row"]}
        self.refused = {teacher: int(count) for teacher, count in flat["refused"]}
