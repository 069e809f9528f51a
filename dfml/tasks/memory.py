"""The task memory: recovered images by class, and the tasks that are made of them."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dfml.core.errors import BadInput
from dfml.data.episodes import PseudoTask
from dfml.nets.checkpoint import part_of_state
from dfml.zoo.teacher import match_channels, match_size

Task = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class MemoryTask:
    """A task drawn from the memory: support images [way * shot, C, H, W], labels, query images, labels.

    Attributes:
        classes: The class key of each label.
        partner: The second task of an interpolation; its label l is mixed with label l of ``task``.
        share: Weight in [0, 1] of the partner's features; 0 without one.
    """

    task: Task
    classes: list[str]
    partner: Task | None = None
    share: float = 0.0


@dataclass(frozen=True)
class _Visit:
    """The images of one class from one recovery, and what several teachers say of them."""

    teacher: str
    images: torch.Tensor
    answers: torch.Tensor | None = None


class TaskMemory:
    """A bounded ring of recovered images for each class.

    Slots of two teachers share a ring only where the zoo says that they name the same class (``Zoo.class_key``), so
    that a class is never overwritten by a stranger of the same position. Images are kept as 16-bit floats: half the
    memory, finer than the 8 bits of an image file.

    Args:
        class_keys: See ``Zoo.class_keys``.
        capacity: Recoveries kept per class; the oldest leaves first.
        shape: Channels, height and width of all images (``Zoo.picture_shape``), so that those of
            teachers with different inputs stack; None where all are alike.
        device: Where sampled tasks go; the store itself stays on the CPU.
    """

    def __init__(
        self,
        class_keys: dict[str, list[str]],
        *,
        capacity: int = 20,
        shape: tuple[int, int, int] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.class_keys, self.capacity, self.shape = class_keys, capacity, shape
        self.device = torch.device(device)
        self.rings: dict[str, deque[_Visit]] = {}
        self.added = 0

    def __len__(self) -> int:
        """Images in store."""
        return sum(len(visit.images) for visit in self._visits())

    def _visits(self) -> list[_Visit]:
        return [visit for ring in self.rings.values() for visit in ring]

    def add(self, task: PseudoTask, answers: torch.Tensor | None = None) -> None:
        """Store a recovery, one visit for each of its classes, with several teachers' logits [N, teachers, way].

        Images that are in store already, such as those of a kept recovery that is met again, are not stored
        twice: no task may hold an image in its support and in its query set. ``BadInput`` where the task's teacher is
        unknown, or a label lies outside its head.
        """
        keys = self.class_keys.get(task.teacher_id)
        if keys is None:
            raise BadInput(f"the memory knows no teacher {task.teacher_id!r}.")
        slots = task.labels.unique().tolist()
        if slots and not 0 <= min(slots) <= max(slots) < len(keys):
            raise BadInput(f"labels {slots} for teacher {task.teacher_id!r}, which has {len(keys)} classes.")
        for slot in slots:
            images = self._of_slot(task, slot)
            if not self._is_stored(keys[slot], images):
                said = None if answers is None else answers[task.labels == slot].to("cpu", torch.float16)
                ring = self.rings.setdefault(keys[slot], deque(maxlen=self.capacity))
                ring.append(_Visit(task.teacher_id, images.clone(), said))
        self.added += 1

    def holds(self, task: PseudoTask) -> bool:
        """Whether all images of a recovery are in store."""
        keys = self.class_keys[task.teacher_id]
        return all(self._is_stored(keys[s], self._of_slot(task, s)) for s in task.labels.unique().tolist())

    def _of_slot(self, task: PseudoTask, slot: int) -> torch.Tensor:
        """A class's images as they are stored."""
        images = task.images[task.labels == slot].detach()
        if self.shape is not None:
            images = match_size(match_channels(images, self.shape[0]), self.shape[1:])
        return images.to("cpu", torch.float16)

    def _is_stored(self, key: str, images: torch.Tensor) -> bool:
        return any(torch.equal(visit.images, images) for visit in self.rings.get(key, ()))

    def forget(self, teachers: Sequence[str]) -> None:
        """Drop everything that was recovered from these teachers."""
        kept = {key: [visit for visit in ring if visit.teacher not in teachers] for key, ring in self.rings.items()}
        self.rings = {key: deque(visits, maxlen=self.capacity) for key, visits in kept.items() if visits}

    def drop(self, key: str) -> None:
        """Drop all images of a class."""
        self.rings.pop(key, None)

    def of_others(self, key: str, teacher: str) -> torch.Tensor | None:
        """All images of a class [N, C, H, W] but those of this teacher; None where there are none."""
        found = [visit.images for visit in self.rings.get(key, ()) if visit.teacher != teacher]
        return torch.cat(found).float().to(self.device) if found else None

    def classes(self, least: int = 1) -> list[str]:
        """Keys of the classes with at least ``least`` images, in the order in which they came."""
        return [key for key, ring in self.rings.items() if sum(len(v.images) for v in ring) >= least]

    def can_sample(self, way: int, shot: int, query: int) -> bool:
        """Whether enough classes have enough images for a task."""
        return len(self.classes(shot + query)) >= way

    def sample(self, way: int, shot: int, query: int, *, mixup: bool = False, generator: torch.Generator) -> MemoryTask:
        """Sample a task of ``way`` classes from any teachers; no image of a class is in both support and query.

        With ``mixup`` two tasks are sampled and a share from Beta(1/2, 1/2), to be mixed class by class in feature
        space (TEAPOT). ``BadInput`` where the memory holds too few classes or images.
        """
        usable = self.classes(shot + query)
        if len(usable) < way:
            raise BadInput(
                f"{way}-way tasks of {shot} + {query} images per class need {way} such classes in memory; "
                f"{len(usable)} of {len(self.rings)} have as many."
            )
        task, classes = self._recombined(usable, way, shot, query, generator)
        if not mixup:
            return MemoryTask(task, classes)
        partner, _ = self._recombined(usable, way, shot, query, generator)
        # Beta(1/2, 1/2) is the arcsine distribution.
        share = math.sin(math.pi / 2 * float(torch.rand((), generator=generator))) ** 2
        return MemoryTask(task, classes, partner, share)

    def _recombined(
        self, usable: list[str], way: int, shot: int, query: int, generator: torch.Generator
    ) -> tuple[Task, list[str]]:
        """Support and query of one task, without an image in both, and its classes."""
        chosen = [usable[i] for i in torch.randperm(len(usable), generator=generator)[:way].tolist()]
        support, held = [], []
        for key in chosen:
            rows = _some([visit.images for visit in self.rings[key]], shot + query, generator)
            support.append(rows[:shot])
            held.append(rows[shot:])
        labels, there = torch.arange(way), self.device
        support_x, query_x = (torch.cat(part).float().to(there) for part in (support, held))
        support_y, query_y = (labels.repeat_interleave(count).to(there) for count in (shot, query))
        return (support_x, support_y, query_x, query_y), chosen

    def images(self, count: int, *, generator: torch.Generator) -> torch.Tensor:
        """Some images of any classes, [at most ``count``, C, H, W], no two of them the same."""
        return _some([visit.images for visit in self._visits()], count, generator).float().to(self.device)

    def answered(self, count: int, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Some images that came with answers, [at most ``count``, C, H, W], and the logits [N, teachers, way].

        ``BadInput`` where there are none.
        """
        visits = [(visit.images, visit.answers) for visit in self._visits() if visit.answers is not None]
        if not visits:
            raise BadInput("the memory holds no image that teachers were asked about.")
        places = _places([images for images, _ in visits], count, generator)
        images = torch.stack([visits[v][0][row] for v, row in places])
        answers = torch.stack([visits[v][1][row] for v, row in places])
        return images.float().to(self.device), answers.float().to(self.device)

    def state(self) -> dict[str, Any]:
        """Copies of all images, ring by ring."""
        flat: dict[str, Any] = {"added": self.added, "keys": list(self.rings)}
        for position, ring in enumerate(self.rings.values()):
            flat[f"ring{position}"] = {
                "images": torch.cat([v.images for v in ring]),
                "counts": [len(v.images) for v in ring],
                "teachers": [v.teacher for v in ring],
                "answered": [v.answers is not None for v in ring],
            }
            if said := [v.answers for v in ring if v.answers is not None]:
                flat[f"ring{position}"]["answers"] = torch.cat(said)
        return flat

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        self.added = int(flat["added"])
        self.rings = {}
        for position, key in enumerate(flat["keys"]):
            ring = part_of_state(flat, f"ring{position}")
            parts = ring["images"].split([int(n) for n in ring["counts"]])
            # Older checkpoints know of no answers.
            answered = ring.get("answered") or [False] * len(parts)
            counts = [len(x) for x, has in zip(parts, answered, strict=True) if has]
            said = iter(ring["answers"].split(counts) if counts else ())
            visits = [
                _Visit(t, x.clone(), next(said).clone() if has else None)
                for t, x, has in zip(ring["teachers"], parts, answered, strict=True)
            ]
            self.rings[key] = deque(visits, maxlen=self.capacity)


def _some(stores: list[torch.Tensor], count: int, generator: torch.Generator) -> torch.Tensor:
    """Sample images out of several stores; only the sampled ones are copied."""
    return torch.stack([stores[store][row] for store, row in _places(stores, count, generator)])


def _places(stores: list[torch.Tensor], count: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Sample different places: a store and a row in it each."""
    ends = torch.tensor([len(x) for x in stores]).cumsum(0)
    drawn = torch.randperm(int(ends[-1]), generator=generator)[:count]
    which = torch.searchsorted(ends, drawn, right=True).tolist()
    return [(w, int(d) - int(ends[w]) + len(stores[w])) for w, d in zip(which, drawn, strict=True)]
