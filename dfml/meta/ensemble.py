"""A meta-model that is all teachers at once: their features side by side, classified by the nearest centroid.

It is a reference, not one model: it has no weights of its own and costs a pass through every teacher. Its folder
links to the zoo and lists the teachers with the digests of their weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, given_path, write_atomically, write_json
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import ClassSplit
from dfml.meta.learners import Params, ProtoNet
from dfml.meta.model import MetaModel
from dfml.meta.stored import ENSEMBLE, NOT_ONE, how_to_load, refuse_ensemble
from dfml.nets.build import fast_layout
from dfml.nets.device import seconds_now
from dfml.zoo.listing import zoo_folder
from dfml.zoo.teacher import DETAILS, Teacher, weights_digest
from dfml.zoo.zoo import Zoo

Normalise = Literal["l2", "none"]
SHARPNESS = 15.0
"""Factor of the mean squared distance before the softmax: on validation classes of CIFAR-FS, with 100 teachers and
1 to 5 shots, confidences then agree best with what is right. It moves no prediction."""
PASS = 64
"""Images of one pass: their maps fit into a core's cache, which halves the time on a CPU."""
KEPT_BYTES = 2**30
"""Features up to this much memory are kept for the next list of episodes of the same images."""
AT_ONCE = 256
"""Images between two signs of life, and episodes that are compared at once."""


class EnsembleCard(Config):
    """The part of a stored card that says which teachers the ensemble is made of."""

    zoo_at: str = Field(description="An embedded zoo's name, or a zoo's folder.")
    teachers: dict[str, str] = Field(min_length=1, description="Id of each teacher and the SHA-256 of its weights.")
    normalise: Normalise = Field(description="What is done to each teacher's features.")
    way: int = Field(ge=2, description="Classes of a task that it was made for; it takes any number.")
    picture_shape: tuple[int, int, int] = Field(description="Channels, height, width in which it is given images.")


class TeacherFeatures(nn.Module):
    """The features of several teachers of any architecture, side by side.

    The teachers are frozen and in eval mode: what they say of one image does not depend on the others of the batch.
    ``l2`` gives each teacher's features of an image length 1, so that none outweighs the others.
    """

    def __init__(self, teachers: list[Teacher], normalise: Normalise) -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)
        self.normalise = normalise
        self.share = (SHARPNESS / len(teachers)) ** 0.5

    def of_teacher(self, position: int, x: torch.Tensor) -> torch.Tensor:
        """One teacher's part [N, D] of the features of images [N, C, H, W] in [0, 1]."""
        teacher = cast(Teacher, self.teachers[position])
        layout = fast_layout(teacher.card.architecture)
        parts = [teacher.features(part.contiguous(memory_format=layout)).flatten(1) for part in x.split(PASS)]
        features = torch.cat(parts)
        return self.share * (F.normalize(features, dim=1) if self.normalise == "l2" else features)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, sum of D] of images [N, C, H, W] in [0, 1] of any size."""
        return torch.cat([self.of_teacher(position, x) for position in range(len(self.teachers))], 1)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The features as they are: there is no last layer."""
        return x

    forward = forward_features  # without a support set there are no logits


class EnsembleModel(MetaModel):
    """See the module. ``pass_seconds`` is what bare passes through the teachers took, since it was last set to 0."""

    net: TeacherFeatures
    kind: ClassVar[str] = ENSEMBLE
    adapts = ("centroid",)

    def __init__(
        self, teachers: list[Teacher], zoo: Zoo, *, normalise: Normalise, way: int, details: dict[str, Any]
    ) -> None:
        # Another zoo than an embedded one by its whole path: the ensemble may be opened from another directory.
        folder = zoo.folder.resolve()
        self.link = EnsembleCard(
            zoo_at=folder.name if folder.parent == (ASSETS / "zoos").resolve() else str(folder),
            teachers={t.card.id: weights_digest(zoo.folder / t.card.id) for t in teachers},
            normalise=normalise,
            way=way,
            picture_shape=zoo.picture_shape,
        )
        channels, size, _ = zoo.picture_shape
        args = {"num_classes": way, "in_chans": channels, "img_size": size}
        super().__init__(TeacherFeatures(teachers, normalise), self.kind, args, [0.0], [1.0], ProtoNet(), 1, details)
        self.pass_seconds = 0.0
        self._data: ClassSplit | None = None
        self._kept: dict[int, tuple[np.ndarray, torch.Tensor]] = {}

    @property
    def params(self) -> Params:
        """No meta-parameters: nothing of it learns."""
        return {}

    def to(self, device: torch.device | str) -> EnsembleModel:
        """Move the teachers; returns itself."""
        self.net.to(device)
        if torch.device(device).type == "cpu":
            for teacher in cast(Iterator[Teacher], iter(self.net.teachers)):
                teacher.net.to(memory_format=fast_layout(teacher.card.architecture))
        return self

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Images as they are: each teacher sizes and normalises them in its own way."""
        return x

    def require_one_network(self, purpose: str) -> None:
        """Refuse always."""
        refuse_ensemble(purpose)

    def with_adaptation(self, learner: str, *, lr: float | None = None, steps: int | None = None) -> EnsembleModel:
        """Itself; BadInput where anything but nearest centroids is asked for."""
        if learner != self.learner.name or lr is not None or steps is not None:
            raise BadInput(f"{NOT_ONE}: it takes no inner steps, only nearest centroids (--adapt centroid).")
        return self

    def save(self, folder: str | Path, details: dict[str, Any] | None = None) -> None:
        """Write the folder: ``dfml.json`` with the link to the zoo, and a README. No weights."""
        folder = given_path(folder)
        card = {**self.details, **(details or {}), **self.link.model_dump(mode="json"), **self.adaptation_card()}
        lines = [
            "---", "tags: [few-shot, data-free]", "---", "",
            f"# The features of {len(card['teachers'])} teachers, side by side", "",
            f"- zoo: {card.get('zoo', 'unknown')}, read from `{card['zoo_at']}`",
            f"- features of each teacher normalised by: {card['normalise']}",
            "- classified by the nearest class centroid; a reference, not one model", "",
            "This folder holds no weights: it needs the zoo, unchanged.",
            *how_to_load(), "",
        ]  # fmt: skip
        write_atomically(folder / "README.md", lambda part: part.write_text("\n".join(lines), encoding="utf-8"))
        write_json(folder / DETAILS, card)

    @classmethod
    def open(cls, folder: Path, card: dict[str, Any]) -> EnsembleModel:
        """Read a folder written by ``save``.

        Raises:
            BadInput: The zoo is gone, a teacher is missing, or its weights are not those of then.
        """
        link = EnsembleCard.parse(
            {k: card[k] for k in EnsembleCard.model_fields if k in card}, what=f"{folder.name}/{DETAILS} field"
        )
        again = "train ensemble-features again, or bring the zoo back."
        try:
            zoo = Zoo(zoo_folder(link.zoo_at))
        except BadInput as error:
            raise BadInput(f"{folder} is an ensemble of the teachers of {link.zoo_at!r}: {error} {again}") from None
        teachers = []
        for name, digest in link.teachers.items():
            try:
                teachers.append(zoo.weights_of(name))
            except BadInput as error:
                raise BadInput(f"the ensemble in {folder} lacks a teacher: {error} {again}") from None
            if weights_digest(zoo.folder / name) != digest:
                raise BadInput(f"teacher {name!r} of zoo {zoo.name!r} has changed since {folder} was made: {again}")
        details = {k: v for k, v in card.items() if k not in EnsembleCard.model_fields}
        model = cls(teachers, zoo, normalise=link.normalise, way=link.way, details=details)
        # The zoo may have grown meanwhile; the ensemble sees images as it did.
        channels, size, _ = link.picture_shape
        model.link, model.model_args = link, {**model.model_args, "in_chans": channels, "img_size": size}
        return model

    def accuracies(self, sampler: EpisodeSampler, device: torch.device | str) -> Iterator[tuple[float, list[float]]]:
        """Yield the share of the work that is done, and with the last one each episode's accuracy in [0, 1].

        Squared distances of features side by side are sums over the teachers: one teacher's features are held at a
        time, and those of the others are kept only while they are small.
        """
        if sampler.data is not self._data:
            self._data, self._kept = sampler.data, {}
        picks = np.stack([picks for _, picks in sampler.plan])
        support, query = (torch.from_numpy(p) for p in (picks[:, :, : sampler.shot], picks[:, :, sampler.shot :]))
        labels = torch.arange(sampler.way, device=device).repeat_interleave(sampler.query)
        wanted, teachers = np.unique(picks), len(self.net.teachers)
        distances = torch.zeros(len(picks), sampler.way * sampler.query, sampler.way, device=device)
        for teacher in range(teachers):
            known, table = self._kept.get(teacher, (np.zeros(len(sampler.data.labels), dtype=bool), None))
            missing = wanted[~known[wanted]]
            for start in range(0, len(missing), AT_ONCE):
                chunk = missing[start : start + AT_ONCE]
                images = sampler.data.pictures(chunk).to(device)
                started = time.perf_counter()
                with torch.no_grad():
                    found = self.net.of_teacher(teacher, images)
                self.pass_seconds += seconds_now(device) - started
                table = found.new_empty(len(known), found.shape[1]) if table is None else table
                table[torch.from_numpy(chunk)] = found
                known[chunk] = True
                yield (teacher + start / len(missing)) / teachers, []
            assert table is not None
            others = sum(t.numel() * t.element_size() for k, (_, t) in self._kept.items() if k != teacher)
            if others + table.numel() * table.element_size() <= KEPT_BYTES:
                self._kept[teacher] = (known, table)
            for part in torch.arange(len(picks)).split(AT_ONCE):
                centroids = table[support[part]].mean(2)
                distances[part] += torch.cdist(table[query[part].flatten(1)], centroids).square()
        yield 1.0, (distances.argmin(2) == labels).float().mean(1).tolist()
