"""PURER's dynamic set: images of every class of the zoo, learned all through meta-training."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from dfml.core.config import Options
from dfml.inversion import terms
from dfml.nets.checkpoint import load_optimiser_state, optimiser_state, part_of_state
from dfml.zoo.oracles.base import Oracle


def noise_images(
    count: int, shape: tuple[int, int, int], generator: torch.Generator, *, smooth: bool = False
) -> torch.Tensor:
    """Draw noise around mid-grey with the spread of natural images: float32 [count, C, H, W] in [0, 1].

    ``smooth`` ones are blotches of four pixels instead of independent pixels: most of a natural image's power is at
    low frequencies, which gradient steps reach last from white noise.
    """
    channels, height, width = shape
    if smooth:
        coarse = torch.randn(count, channels, -(-height // 4), -(-width // 4), generator=generator)
        noise = F.interpolate(coarse, size=(height, width), mode="bicubic")
    else:
        noise = torch.randn(count, channels, height, width, generator=generator)
    return (0.5 + 0.25 * noise).clamp_(0, 1)


class DynamicSet:
    """m learnable images for each class that the zoo knows.

    Hu et al., "Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning" (PURER), CVPR 2023. Classes of
    two teachers are one class only where the zoo vouches for their names. Targets follow each class's slot in the
    teacher's own head, never its rank among the classes.

    Args:
        class_keys: See ``Zoo.class_keys``.
        per_class: m, images per class.
        shape: Channels, height, width.
        lr: Adam's learning rate on un-normalised pixels.
        generator: Draws the first images, on the CPU.
        device: Where the set lives.
        smooth: See ``noise_images``.

    Attributes:
        pixels: One leaf [m, C, H, W] in [0, 1] for each class, in the order of ``keys``.
    """

    def __init__(
        self,
        class_keys: dict[str, list[str]],
        *,
        per_class: int,
        shape: tuple[int, int, int],
        lr: float,
        generator: torch.Generator,
        device: torch.device,
        smooth: bool = False,
    ) -> None:
        self.keys = sorted({key for keys in class_keys.values() for key in keys})
        position = {key: i for i, key in enumerate(self.keys)}
        self.slots = {teacher: [position[key] for key in keys] for teacher, keys in class_keys.items()}
        self.per_class = per_class
        self.pixels = [
            noise_images(per_class, shape, generator, smooth=smooth).to(device).requires_grad_(True) for _ in self.keys
        ]
        self.visits = [0] * len(self.keys)
        # One leaf per class: Adam leaves classes without a gradient alone, moments included.
        self.optimiser = torch.optim.Adam(self.pixels, lr=lr)

    def choose_teachers(self, count: int, generator: torch.Generator) -> list[str]:
        """Ids of ``count`` different teachers (or all) whose classes were inverted least: no class stays noise.

        The generator decides among equals.
        """
        ids = list(self.slots)
        if count >= len(ids):
            return ids
        left = [ids[i] for i in torch.randperm(len(ids), generator=generator).tolist()]
        visits, chosen = list(self.visits), []
        for _ in range(count):
            best = max(left, key=lambda t: sum(1 / (1 + visits[c]) for c in self.slots[t]))
            left.remove(best)
            chosen.append(best)
            for c in self.slots[best]:
                visits[c] += 1
        return chosen

    def of_teacher(self, teacher_id: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The images [way * m, C, H, W] of a teacher's classes and their labels in its head."""
        slots = self.slots[teacher_id]
        images = torch.cat([self.pixels[c] for c in slots])
        labels = torch.arange(len(slots), device=images.device).repeat_interleave(self.per_class)
        return images, labels

    def draw_episode(
        self, *, way: int, shot: int, query: int, generator: torch.Generator, teachers: Sequence[str] | None = None
    ) -> tuple[list[int], tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Sample ``way`` of all classes, so that those of different teachers mix, and ``shot`` + ``query`` images each.

        Given ``teachers``, it samples among their classes only, where these are enough. It returns the classes, and
        support images, support labels, query images, query labels; the images keep their graph to ``pixels``.
        """
        pool: Sequence[int] = sorted({c for t in teachers or () for c in self.slots[t]})
        if len(pool) < way:
            pool = range(len(self.keys))
        if len(pool) < way:
            raise ValueError(f"a {way}-way episode cannot be drawn from {len(pool)} classes")
        classes = [pool[i] for i in torch.randperm(len(pool), generator=generator)[:way].tolist()]
        support, queries = [], []
        for c in classes:
            order = torch.randperm(self.per_class, generator=generator)
            support.append(self.pixels[c][order[:shot]])
            queries.append(self.pixels[c][order[shot : shot + query]])
        labels = torch.arange(way, device=support[0].device)
        support_y, query_y = labels.repeat_interleave(shot), labels.repeat_interleave(query)
        return classes, (torch.cat(support), support_y, torch.cat(queries), query_y)

    def step(
        self,
        oracles: Sequence[Oracle],
        weights: Options,
        generator: torch.Generator,
        adversarial: torch.Tensor | None = None,
    ) -> dict[str, float]:
        """Take an Adam step on the plain sum of the teachers' inversion losses; return means over the teachers.

        Args:
            oracles: The teachers that take part.
            weights: Options ``bn``, ``tv``, ``l2``, ``shift`` and ``flip``.
            generator: On the CPU.
            adversarial: A scalar with a graph to ``pixels`` that is added to the loss.
        """
        objective = self.pixels[0].new_zeros(()) if adversarial is None else adversarial
        losses = {"ce": 0.0, "bn": 0.0, "tv": 0.0, "teacher_accuracy": 0.0}
        for oracle in oracles:
            images, labels = self.of_teacher(oracle.teacher_id)
            for c in self.slots[oracle.teacher_id]:
                self.visits[c] += 1
            _, seen, answer = terms.ask(oracle, images, labels, weights, generator)
            roughness, grey = terms.total_variation(images), terms.l2_from_grey(images)
            objective = objective + (seen * answer.grad).sum() + weights.tv * roughness + weights.l2 * grey
            losses["ce"] += float(answer.loss.mean()) / len(oracles)
            losses["tv"] += float(roughness.detach()) / len(oracles)
            losses["teacher_accuracy"] += float((answer.logits.argmax(1) == labels).float().mean()) / len(oracles)
            if answer.statistics_loss is not None:
                losses["bn"] += float(answer.statistics_loss) / weights.bn / len(oracles)
        self.optimiser.zero_grad(set_to_none=True)
        objective.backward()
        self.optimiser.step()
        with torch.no_grad():
            for x in self.pixels:
                x.clamp_(0, 1)
        return losses

    def shown(self, classes: int = 8, images: int = 4) -> tuple[torch.Tensor, list[int], list[str]]:
        """A few images of the first classes, to look at, with their classes, and the keys of these."""
        chosen = range(min(classes, len(self.keys)))
        few = torch.cat([self.pixels[c].detach()[:images] for c in chosen])
        each = [c for c in chosen for _ in range(min(images, self.per_class))]
        return few, each, [self.keys[c] for c in each]

    def state(self) -> dict[str, Any]:
        """Copies of the images, [classes, m, C, H, W], and of Adam's moments."""
        return {
            "pixels": torch.stack([x.detach() for x in self.pixels]).clone(),
            "visits": list(self.visits),
            "adam": optimiser_state(self.optimiser),
        }

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        with torch.no_grad():
            for x, stored in zip(self.pixels, flat["pixels"], strict=True):
                x.copy_(stored)
        self.visits = list(flat["visits"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))
