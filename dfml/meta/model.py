"""A meta-model: the product of every method, saved as a folder in timm's layout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from dfml.core.paths import given_path, write_atomically
from dfml.data.episodes import Episode
from dfml.meta.held_statistics import read_statistics, write_statistics
from dfml.meta.learners import MAML, Adapt, MetaLearner, Params, ProtoNet, make_learner
from dfml.meta.linear_head import LinearHead
from dfml.meta.stored import KINDS, NETWORK, README, model_card, model_folder, read_model_card, read_network
from dfml.nets.build import build_network, fast_layout
from dfml.nets.norm import Statistics
from dfml.zoo.teacher import build_and_load, match_channels, match_size, save_network


@dataclass
class MetaModel:
    """A backbone, its meta-parameters, and how to adapt it.

    Attributes:
        net: The network with batch normalisation without buffers; its weights are the meta-parameters.
        architecture: timm's name; ``model_args`` are its constructor's.
        mean: Channel means for normalising images; ``std`` likewise.
        adapt_steps: Inner steps at test.
        details: Method, side information and whatever else the card tells.
        statistics: Of the support set that it was adapted to, where it normalises with them; see ``adapted_model``.
        kind: Of its folder, as the card there names it.
        adapts: Ways of adapting that it has.
    """

    kind: ClassVar[str] = NETWORK
    adapts: ClassVar[tuple[Adapt, ...]] = ("steps", "centroid", "linear")

    net: nn.Module
    architecture: str
    model_args: dict[str, Any]
    mean: list[float]
    std: list[float]
    learner: MetaLearner
    adapt_steps: int = 10
    details: dict[str, Any] = field(default_factory=dict)
    statistics: Statistics | None = None

    @property
    def way(self) -> int:
        """Outputs of the last layer."""
        return int(self.model_args["num_classes"])

    @property
    def input_size(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        size = int(self.model_args["img_size"])
        return int(self.model_args.get("in_chans", 3)), size, size

    @property
    def params(self) -> Params:
        """The meta-parameters by name."""
        return dict(self.net.named_parameters())

    def to(self, device: torch.device | str) -> MetaModel:
        """Move the network; returns itself."""
        self.net.to(device)
        if torch.device(device).type == "cpu":
            self.net.to(memory_format=fast_layout(self.architecture))
        return self

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Bring images [N, C, H, W] in [0, 1] to the network's channels, size and normalisation."""
        channels, height, width = self.input_size
        x = match_size(match_channels(x, channels), (height, width))
        mean, std = (torch.tensor(v, device=x.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return ((x - mean) / std).contiguous(memory_format=fast_layout(self.architecture))

    def prepared(self, episode: Episode) -> Episode:
        """The episode with its images prepared."""
        return replace(episode, support_x=self.prepare(episode.support_x), query_x=self.prepare(episode.query_x))

    def require_one_network(self, purpose: str) -> None:
        """Refuse, with ``purpose`` in the message, where one network with weights is needed and there is none."""

    def with_adaptation(self, learner: str, *, lr: float | None = None, steps: int | None = None) -> MetaModel:
        """The same network adapted by another learner, learning rate or number of steps."""
        config = self.learner.config if lr is None else self.learner.config.override({"inner_lr": lr})
        return replace(self, learner=make_learner(learner, config), adapt_steps=steps or self.adapt_steps)

    def learner_for(self, how: Adapt | None) -> MetaLearner:
        """The learner of a way of adapting, None for its own; steps of a model without outputs are MAML's."""
        if how is None or how == self.learner.default_adaptation:
            return self.learner
        others = {"centroid": ProtoNet, "linear": LinearHead}
        return others[how](self.learner.config) if how in others else self.with_adaptation(MAML.name).learner

    def adaptation_card(self) -> dict[str, Any]:
        """What a stored card tells of how it adapts."""
        learner = self.learner
        told = {"kind": self.kind, "learner": learner.name, "learner_config": learner.config.model_dump()}
        return {**told, "adapt_steps": self.adapt_steps}

    def save(self, folder: str | Path, details: dict[str, Any] | None = None) -> None:
        """Write the folder: weights, config, ``dfml.json`` and a README (the model card)."""
        folder = given_path(folder)
        # How it adapts now stands last: the details of a loaded model tell how it adapted then.
        card = {**self.details, **(details or {}), **self.adaptation_card()}
        save_network(
            folder, self.net, architecture=self.architecture, model_args=self.model_args, details=card,
            mean=self.mean, std=self.std,
        )  # fmt: skip
        write_statistics(folder, self.net, self.statistics)
        write_atomically(folder / README, lambda part: part.write_text(model_card(card), encoding="utf-8"))

    @classmethod
    def load(cls, folder: str | Path) -> MetaModel:
        """Read a folder written by ``save``, or a model that ships, by its name; no run is needed around it.

        Raises:
            BadInput: The folder is missing, holds no meta-model, or its files are damaged.
        """
        folder = model_folder(folder)
        card = read_model_card(folder)
        import_module(KINDS[card["kind"]])
        return _KINDS[card["kind"]].open(folder, card)

    @classmethod
    def open(cls, folder: Path, card: dict[str, Any]) -> MetaModel:
        """Read a folder of this kind, whose card was read already; for the rest see ``load``."""
        config, how = read_network(folder, card)
        args = {**config["model_args"], "num_classes": config["num_classes"], "bn": "batch"}
        net = build_and_load(folder, config["architecture"], args, check_digest=card.get("sha256"))
        cfg = config["pretrained_cfg"]
        return cls(
            net.train(), config["architecture"], args, cfg.get("mean"), cfg.get("std"),
            make_learner(how.learner, how.learner_config), how.adapt_steps,
            {k: v for k, v in card.items() if k != "sha256"}, read_statistics(folder, net),
        )  # fmt: skip

    def __init_subclass__(cls) -> None:
        """Another kind of folder is opened by the class that declares it."""
        _KINDS[cls.kind] = cls


_KINDS: dict[str, type[MetaModel]] = {MetaModel.kind: MetaModel}


def new_meta_model(
    architecture: str,
    *,
    shape: tuple[int, int, int],
    way: int,
    mean: list[float],
    std: list[float],
    learner: MetaLearner,
    width: int | None = None,
    seed: int = 0,
    adapt_steps: int = 10,
    details: dict[str, Any] | None = None,
    further: dict[str, Any] | None = None,
) -> MetaModel:
    """Build a meta-model with fresh weights, drawn from ``seed``; see ``MetaModel``.

    ``shape`` is channels, height and width of its input; a ``width`` of None keeps the network's default, and others
    than few-shot networks have none. ``further`` are arguments of the constructor of timm's network.
    """
    args = {**(further or {}), "num_classes": way, "in_chans": shape[0], "img_size": shape[1], "bn": "batch"}
    if width and architecture.startswith("fewshot_"):
        args["width"] = width
    net = build_network(architecture, seed=seed, **args)
    return MetaModel(net.train(), architecture, args, mean, std, learner, adapt_steps, details or {})
