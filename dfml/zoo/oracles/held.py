"""Teachers of a zoo that are loaded when they are asked, and dropped again: a bounded number of bytes is held."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

from dfml.zoo.listing import TeacherCard
from dfml.zoo.teacher import Teacher

MOST_BYTES = 512 * 2**20
"""Of the teachers that are held; the one asked last always is."""
OBJECTS = 2**17
"""Bytes that a network takes besides its numbers, about."""


class HeldTeachers:
    """Teachers on a device, those asked last; others are loaded when they are asked, by ``Zoo.teacher``."""

    def __init__(self, load: Callable[[str], Teacher], device: torch.device) -> None:
        self._load, self.device = load, device
        self._held: OrderedDict[str, tuple[Teacher, int]] = OrderedDict()
        self._bytes = 0

    def get(self, which: str) -> Teacher:
        """A teacher by its id, on the device."""
        if which in self._held:
            self._held.move_to_end(which)
            return self._held[which][0]
        teacher = self._load(which).move(self.device)
        size = OBJECTS + sum(each.nbytes for each in (*teacher.parameters(), *teacher.buffers()))
        self._held[which] = teacher, size
        self._bytes += size
        while self._bytes > MOST_BYTES and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1][1]
        return teacher

    def on_demand(self, card: TeacherCard) -> "OnDemand":
        """A teacher that will be loaded when it is wanted."""
        return OnDemand(card, self)


@dataclass(frozen=True)
class OnDemand:
    """What stands for a teacher that may not be loaded."""

    card: TeacherCard
    held: HeldTeachers


def now(teacher: Teacher | OnDemand) -> Teacher:
    """The teacher itself."""
    return teacher.held.get(teacher.card.id) if isinstance(teacher, OnDemand) else teacher
