"""PURER's dynamic set: images of every class of the zoo, learned all through meta-training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from dfml.core.state import part_of_state
from dfml.inversion import terms
from dfml.inversion.pixels import noise_pictures
from dfml.nets.checkpoint import load_optimiser_state, optimiser_state
from dfml.zoo.oracles.base import Oracle


class DynamicSet:
    """m learnable images for each class that the zoo knows.

    Hu et al., "Architecture, Dataset and Model-Scale Agnostic Data-free Meta-Learning" (PURER),
    CVPR 2023. Classes of two teachers are one class only where the zoo vouches for their names.
    Targets follow each class's slot in the teacher's own head, never its rank among the classes.

    Args:
        class_keys: For each teacher's id the identity of each of its classes, in the order of its head.
        per_class: m, images per class.
        shape: Channels, height, width.
        lr: Adam's rate on un-normalised pixels.
        generator: Draws the first images.
        device: Where the set lives.
        smooth: Start from blotches instead of white noise.

    Attributes:
        keys: Identity of each class.
        pixels: One leaf [m, C, H, W] in [0, 1] a class.
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
            noise_pictures(per_class, shape, generator, smooth=smooth).to(device).requires_grad_(True)
            for _ in self.keys
        ]
        self.visits = [0] * len(self.keys)
        # One leaf a class: Adam leaves classes without a gradient alone, moments included.
        self.optimiser = torch.optim.Adam(self.pixels, lr=lr)

    def choose_teachers(self, count: int, generator: torch.Generator) -> list[str]:
        """Pick teachers whose classes have been inverted least, so that no class stays noise.

        Args:
            count: How many; all teachers if there are fewer.
            generator: Decides among equals.

        Returns:
            Ids, without repetition.
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
        """Draw classes among all, so that classes of different teachers mix.

        Args:
            way: Classes.
            shot: Support images per class.
            query: Query images per class.
            generator: Draws classes and images.
            teachers: Draw among the classes of these teachers only, where they have enough.

        Returns:
            The classes, and support images, support labels, query images, query labels; the
            images keep their graph to ``pixels``.
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
        return classes, (
            torch.cat(support),
            labels.repeat_interleave(shot),
            torch.cat(queries),
            labels.repeat_interleave(query),
        )

    def set_rate(self, lr: float) -> None:
        """Change Adam's rate on the pixels."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def step(
        self,
        oracles: Sequence[Oracle],
        *,
        bn: float,
        tv: float,
        l2: float,
        shift: int,
        flip: bool,
        generator: torch.Generator,
        adversarial: torch.Tensor | None = None,
    ) -> dict[str, float]:
        """One Adam step on the plain sum of the teachers' inversion losses.

        Args:
            oracles: The teachers that take part.
            bn: Weight of the BN distance.
            tv: Weight of the total variation.
            l2: Weight of the distance from mid-grey.
            shift: Largest random shift in pixels.
            flip: Mirror at random.
            generator: Draws shift and mirror.
            adversarial: A scalar with a graph to ``pixels`` that is added to the loss.

        Returns:
            Means over the teachers: ``ce``, ``bn``, ``tv``, ``accuracy``.
        """
        objective = self.pixels[0].new_zeros(()) if adversarial is None else adversarial
        seen_losses = {"ce": 0.0, "bn": 0.0, "tv": 0.0, "accuracy": 0.0}
        for oracle in oracles:
            images, labels = self.of_teacher(oracle.teacher_id)
            for c in self.slots[oracle.teacher_id]:
                self.visits[c] += 1
            # Grey teachers may know characters, which are never mirrored, even where the set is in colour.
            channels = min(images.shape[1], oracle.picture_shape[0])
            seen = terms.draw_jitter(channels, shift, flip, generator).apply(images)
            answer = oracle.loss_and_grad(
                seen,
                lambda logits, _, labels=labels: terms.cross_entropy(logits, labels),
                statistics_fn=(lambda s: bn * terms.bn_distance(s)) if bn and oracle.gives_statistics else None,
            )
            roughness = terms.total_variation(images)
            objective = objective + (seen * answer.grad).sum() + tv * roughness + l2 * terms.l2_from_grey(images)
            seen_losses["ce"] += float(answer.loss.mean()) / len(oracles)
            seen_losses["tv"] += float(roughness.detach()) / len(oracles)
            seen_losses["accuracy"] += float((answer.logits.argmax(1) == labels).float().mean()) / len(oracles)
            if answer.statistics_loss is not None:
                seen_losses["bn"] += float(answer.statistics_loss) / bn / len(oracles)
        self.optimiser.zero_grad(set_to_none=True)
        objective.backward()
        self.optimiser.step()
        with torch.no_grad():
            for x in self.pixels:
                x.clamp_(0, 1)
        return seen_losses

    def shown(self, classes: int = 8, pictures: int = 4) -> tuple[torch.Tensor, list[int]]:
        """A few images of the first classes, to look at, with their classes."""
        chosen = range(min(classes, len(self.keys)))
        images = torch.cat([self.pixels[c].detach()[:pictures] for c in chosen])
        return images, [c for c in chosen for _ in range(min(pictures, self.per_class))]

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
