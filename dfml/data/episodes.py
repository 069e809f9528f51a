"""Episodes of real images, drawn once from a seed, and pseudo tasks of recovered ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.data.folders import ClassSplit
from dfml.data.splits import need_sizes

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Episode:
    """One few-shot task.

    Attributes:
        support_x: float32 [way * shot, C, H, W] in [0, 1]; ``query_x`` likewise.
        support_y: int64 [way * shot], 0 .. way - 1; ``query_y`` likewise.
        class_names: One name per label.
    """

    support_x: torch.Tensor
    support_y: torch.Tensor
    query_x: torch.Tensor
    query_y: torch.Tensor
    class_names: tuple[str, ...] = ()

    def to(self, device: torch.device | str) -> Episode:
        """Return the same episode on another device."""
        support_x, support_y = self.support_x.to(device), self.support_y.to(device)
        return Episode(support_x, support_y, self.query_x.to(device), self.query_y.to(device), self.class_names)


@dataclass(frozen=True)
class PseudoTask:
    """What an inverter recovers from one teacher.

    Attributes:
        images: float32 [N, C, H, W] in [0, 1].
        labels: int64 [N], positions in the teacher's own head.
        soft_targets: The teacher's logits on the images, float32 [N, way].
        teacher_id: Whose task it is.
        cost: Teacher passes and queries that it took, and seconds where a pipeline measured them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    soft_targets: torch.Tensor
    teacher_id: str
    cost: dict[str, float]

    def to(self, device: torch.device) -> PseudoTask:
        """Return the task with its tensors on a device."""
        moved = self.images.to(device), self.labels.to(device), self.soft_targets.to(device)
        return PseudoTask(*moved, self.teacher_id, self.cost)

    def teacher_accuracy(self) -> float:
        """Share of the images that their own teacher classifies as wanted."""
        return float((self.soft_targets.argmax(1) == self.labels).float().mean())

    def rounded(self) -> PseudoTask:
        """Return a copy on the CPU as it would come back from the disk: images in 16 bits."""
        tensors = (self.images.half().float().cpu(), self.labels.cpu(), self.soft_targets.detach().cpu())
        return PseudoTask(*tensors, self.teacher_id, dict(self.cost))


def _several(given: Any) -> list[Any]:  # noqa: ANN401 - whatever was handed over
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


class EpisodesAsked(Config):
    """How many lists of episodes are wanted, and of what shape; see ``EpisodeSampler``."""

    shots: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_several)] = Field(
        (1, 5), min_length=1, description="Support images per class, one number or several: a list for each."
    )
    way: int = Field(5, ge=2, description="Classes per episode.")
    query: int = Field(15, ge=1, description="Query images per class.")
    episodes: int = Field(600, ge=1, description="Length of each list.")


class EpisodeSampler:
    """A fixed list of episodes.

    Args:
        data: The images.
        way: Classes per episode.
        shot: Support images per class.
        query: Query images per class.
        episodes: Length of the list.
        seed: Draws the list; the same seed gives the same list on every machine.

    Raises:
        BadInput: The data set has too few classes or pictures.
    """

    def __init__(self, data: ClassSplit, *, way: int, shot: int, query: int, episodes: int, seed: int) -> None:
        need = shot + query
        if way < 2 or shot < 1 or query < 1 or episodes < 1:
            raise BadInput(
                f"way must be >= 2 and shot, query, episodes >= 1; received {way}, {shot}, {query}, {episodes}."
            )
        sizes = [(name, len(rows)) for name, rows in zip(data.class_names, data.members, strict=True)]
        need_sizes(f"{data.name}/{data.split}", sizes, way, shot, query)
        self.data, self.way, self.shot, self.query = data, way, shot, query
        rng = np.random.default_rng(seed)
        self.plan: list[tuple[np.ndarray, np.ndarray]] = []
        for _ in range(episodes):
            classes = rng.choice(len(data.class_names), way, replace=False)
            picks = np.stack([data.members[c][rng.choice(len(data.members[c]), need, replace=False)] for c in classes])
            self.plan.append((classes, picks))

    def __len__(self) -> int:
        return len(self.plan)

    @cached_property
    def digest(self) -> str:
        """A name for this very list, 64 hex digits: equal for two lists of the same images in the same places.

        It follows from the images, the classes' names, the split, the shape of an episode and what was drawn, not
        from where the images lie or at which size a model looks at them.
        """
        names = [same(name) for name in self.data.class_names]
        content = self.data.content or hashlib.sha256(np.ascontiguousarray(self.data.images).data).hexdigest()
        facts = [1, content, names, self.data.split, self.way, self.shot, self.query, len(self.plan)]
        found = hashlib.sha256(json.dumps(facts).encode())
        for classes, picks in self.plan:
            found.update(np.ascontiguousarray(classes, dtype="<i8").tobytes())
            found.update(np.ascontiguousarray(picks, dtype="<i8").tobytes())
        return found.hexdigest()

    def __iter__(self) -> Iterator[Episode]:
        return map(self.episode, range(len(self.plan)))

    def episode(self, position: int) -> Episode:
        """Return the episode at ``position`` of the list."""
        import torch

        classes, picks = self.plan[position]
        labels = torch.arange(self.way)
        return Episode(
            self.data.pictures(picks[:, : self.shot].ravel()),
            labels.repeat_interleave(self.shot),
            self.data.pictures(picks[:, self.shot :].ravel()),
            labels.repeat_interleave(self.query),
            tuple(self.data.class_names[c] for c in classes),
        )
