"""A meta-model as a training begins with it: its network, the images that it takes, how it adapts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import torch

from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import MetaModel, new_meta_model
from dfml.training.fusing import network_args
from dfml.training.options import AdaptConfig
from dfml.zoo.listing import TeacherCard
from dfml.zoo.zoo import Zoo


def zoo_statistics(zoo: Zoo, ids: Collection[str] | None = None) -> tuple[list[float], list[float]]:
    """The normalisation that most teachers (of these ids, where any are given) use: channel means and deviations."""
    channels = zoo.picture_shape[0]
    fitting = [c for c in zoo.cards if c.input_size[0] == channels and (ids is None or c.id in ids)]
    (mean, std), _ = Counter((tuple(c.mean), tuple(c.std)) for c in fitting).most_common(1)[0]
    return list(mean), list(std)


def start_model(
    zoo: Zoo,
    config: AdaptConfig,
    generator: torch.Generator,
    details: dict[str, Any],
    *,
    like: TeacherCard | None = None,
) -> MetaModel:
    """A meta-model with fresh weights that takes the zoo's images, or those of the teacher that it is ``like``."""
    fixed = like is not None and not config.architecture.startswith("fewshot_")
    shape = like.input_size if like is not None and fixed else zoo.picture_shape
    mean, std = (list(like.mean), list(like.std)) if like is not None and fixed else zoo_statistics(zoo)
    inner = LearnerConfig(
        inner_lr=config.inner_lr,
        inner_steps=getattr(config, "inner_steps", config.test_steps),
        first_order=getattr(config, "first_order", False),
    )
    return new_meta_model(
        config.architecture,
        shape=shape,
        way=config.way,
        mean=mean,
        std=std,
        learner=make_learner(config.learner, inner),
        width=config.width,
        further=network_args(zoo, config.architecture, like),
        seed=int(torch.randint(2**62, (), generator=generator)),
        adapt_steps=config.test_steps,
        details={"zoo": zoo.name, "way": config.way, **details},
    )
