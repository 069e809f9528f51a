"""A meta-model that is all teachers at once: their features side by side, classified by the nearest centroid.

It is a reference, not one model: it has no weights of its own and costs a pass through every teacher. Its folder
links to the zoo and lists the teachers with the digests of their weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, write_atomically, write_json
from dfml.meta.feature_table import FeatureTable
from dfml.meta.learners import Params, ProtoNet
from dfml.meta.model import ENSEMBLE_KIND, MetaModel
from dfml.nets.build import fast_layout
from dfml.zoo.storage import DETAILS, weights_digest
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo, zoo_folder

Normalise = Literal["l2", "none"]

SHARPNESS = 15.0
"""Factor of the mean squared distance before the softmax: on validation classes of CIFAR-FS, with 100 teachers and
1 to 5 shots, confidences then agree best with what is right. It moves no prediction."""

PASS = 64
"""Pictures of one pass: their maps fit into a core's cache, which halves the time on a CPU."""


_WHAT = "an ensemble of teachers is not one model and has no weights of its own"


class EnsembleCard(Config):
    """The part of a stored card that says which teachers the ensemble is made of."""

    zoo_at: str = Field(description="An embedded zoo's name, or a zoo's folder.")
    teachers: dict[str, str] = Field(min_length=1, description="Id of each teacher and the SHA-256 of its weights.")
    normalise: Normalise = Field(description="What is done to each teacher's features.")
    way: int = Field(ge=2, description="Classes of a task that it was made for; it takes any number.")
    picture_shape: tuple[int, int, int] = Field(description="Channels, height, width in which it is given pictures.")


class TeacherFeatures(nn.Module):
    """The features of several teachers of any architecture, side by side.

    Args:
        teachers: Frozen and in eval mode, so their running statistics normalise: what it says of one picture
            does not depend on the others of the batch.
        normalise: ``l2`` gives each teacher's features of a picture length 1, so that none outweighs the others.
    """

    def __init__(self, teachers: list[Teacher], normalise: Normalise) -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)
        self.normalise = normalise
        self.share = (SHARPNESS / len(teachers)) ** 0.5

    def of_teacher(self, position: int, x: torch.Tensor) -> torch.Tensor:
        """One teacher's part [N, D] of the features of pictures [N, C, H, W] in [0, 1]."""
        teacher = self.teachers[position]
        layout = fast_layout(teacher.card.architecture)
        parts = [teacher.features(part.contiguous(memory_format=layout)).flatten(1) for part in x.split(PASS)]
        features = torch.cat(parts)
        return self.share * (F.normalize(features, dim=1) if self.normalise == "l2" else features)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, sum of D] of pictures [N, C, H, W] in [0, 1] of any size."""
        return torch.cat([self.of_teacher(position, x) for position in range(len(self.teachers))], 1)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """The features as they are: there is no last layer."""
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features, too: without a support set there are no logits."""
        return self.forward_features(x)


class EnsembleModel(MetaModel):
    """See the module. It adapts by the nearest centroid alone.

    Args:
        teachers: With their digests on their cards or beside them.
        zoo: Where they are read from.
        normalise: See ``TeacherFeatures``.
        way: Classes of a task.
        details: For its card.
    """

    adapts = ("centroid",)

    def __init__(
        self, teachers: list[Teacher], zoo: Zoo, *, normalise: Normalise, way: int, details: dict[str, Any]
    ) -> None:
        self.link = EnsembleCard(
            zoo_at=_address(zoo),
            teachers={t.card.id: weights_digest(zoo.folder / t.card.id) for t in teachers},
            normalise=normalise,
            way=way,
            picture_shape=zoo.picture_shape,
        )
        channels, size, _ = zoo.picture_shape
        args = {"num_classes": way, "in_chans": channels, "img_size": size}
        net = TeacherFeatures(teachers, normalise)
        super().__init__(net, ENSEMBLE_KIND, args, [0.0], [1.0], ProtoNet(), 1, details)
        self.table = FeatureTable(net)

    @property
    def params(self) -> Params:
        """No meta-parameters: nothing of it learns."""
        return {}

    def to(self, device: torch.device | str) -> EnsembleModel:
        """Move the teachers; returns itself."""
        self.net.to(device)
        if torch.device(device).type == "cpu":
            for teacher in self.net.teachers:
                teacher.net.to(memory_format=fast_layout(teacher.card.architecture))
        return self

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures as they are: each teacher sizes and normalises them in its own way."""
        return x

    def with_adaptation(self, learner: str, *, lr: float | None = None, steps: int | None = None) -> EnsembleModel:
        """Itself.

        Raises:
            BadInput: Anything but nearest centroids is asked for.
        """
        if learner != self.learner.name or lr is not None or steps is not None:
            raise BadInput(f"{_WHAT}: it takes no inner steps, only nearest centroids (--adapt centroid).")
        return self

    def save(self, folder: Path, details: dict[str, Any] | None = None) -> None:
        """Write the folder: ``dfml.json`` with the link to the zoo, and a README. No weights."""
        card = {
            **self.details,
            **(details or {}),
            **self.link.model_dump(mode="json"),
            "kind": ENSEMBLE_KIND,
            "learner": self.learner.name,
            "learner_config": self.learner.config.model_dump(),
            "adapt_steps": self.adapt_steps,
        }
        write_atomically(folder / "README.md", lambda part: part.write_text(_readme(card), encoding="utf-8"))
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
                teacher = zoo.weights_of(name)
            except BadInput as error:
                raise BadInput(f"the ensemble in {folder} lacks a teacher: {error} {again}") from None
            if weights_digest(zoo.folder / name) != digest:
                raise BadInput(f"teacher {name!r} of zoo {zoo.name!r} has changed since {folder} was made: {again}")
            teachers.append(teacher)
        details = {k: v for k, v in card.items() if k not in EnsembleCard.model_fields}
        model = cls(teachers, zoo, normalise=link.normalise, way=link.way, details=details)
        # The zoo may have grown meanwhile; the ensemble sees pictures as it did.
        channels, size, _ = link.picture_shape
        model.link, model.model_args = link, {**model.model_args, "in_chans": channels, "img_size": size}
        return model


def _address(zoo: Zoo) -> str:
    """An embedded zoo's name, else the folder: the ensemble may be opened from another working directory."""
    folder = zoo.folder.resolve()
    return folder.name if folder.parent == (ASSETS / "zoos").resolve() else str(folder)


def check_one_model(model: MetaModel, purpose: str) -> None:
    """Refuse an ensemble where a network with weights is needed.

    Raises:
        BadInput: It is one; the message says for what it is of no use.
    """
    if isinstance(model, EnsembleModel):
        raise BadInput(f"{_WHAT}: {purpose}. Take a model of another method.")


def _readme(card: dict[str, Any]) -> str:
    lines = [
        "---", "tags: [few-shot, data-free]", "---", "",
        f"# The features of {len(card['teachers'])} teachers, side by side", "",
        f"- zoo: {card.get('zoo', 'unknown')}, read from `{card['zoo_at']}`",
        f"- features of each teacher normalised by: {card['normalise']}",
        "- classified by the nearest class centroid; a reference, not one model", "",
        "This folder holds no weights: it needs the zoo, unchanged.",
        "Load it with `dfml.meta.MetaModel.load(FOLDER)`;",
        "adapt it with `python -m dfml adapt --model FOLDER --support DIR`.", "",
    ]  # fmt: skip
    return "\n".join(lines)
