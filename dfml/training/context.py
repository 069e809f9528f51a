"""All that a method trains with, and the steps with which every training begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from dfml.core.events import Event
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import MetaModel, new_meta_model
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory
from dfml.training.options import AdaptConfig, MetaTrainingConfig, RecoveringConfig
from dfml.training.record import Stateful, TrainingRecord
from dfml.training.recovered import recoveries_of
from dfml.training.taking_part import TakingPart
from dfml.zoo.oracles.choose import AskingConfig
from dfml.zoo.zoo import Zoo


@dataclass(frozen=True)
class Training:
    """What a training is given.

    Attributes:
        zoo: The teachers.
        device: Where to compute.
        generator: On the CPU; the same seed gives the same model.
        data: A data set or sample for validation; ``real-data`` trains on it.
        state: From a ``Checkpoint``, to go on from there.
    """

    zoo: Zoo
    _: KW_ONLY
    device: torch.device
    generator: torch.Generator
    data: str | None = None
    state: Mapping[str, Any] | None = None

    def begin(self, method: str, config: AdaptConfig, teachers: TakingPart) -> Generator[Event, None, MetaModel]:
        """Tell who takes part, and make the meta-model with its first weights, on the device."""
        yield from teachers.events(self.zoo)
        model = start_model(self.zoo, config, self.generator, {"method": method, **teachers.details()})
        if getattr(config, "init", "random") == "best-teacher":
            from dfml.training.ours.trusted_start import start_from_best

            yield from start_from_best(self.zoo, model)
        return model.to(self.device)

    def untaught(self, method: str, config: AdaptConfig) -> MetaModel:
        """A meta-model with fresh weights, for methods that work on weights and use nothing real."""
        return start_model(self.zoo, config, self.generator, {"method": method, "side_information": []})

    def seed(self) -> int:
        """A seed out of the generator, for what draws apart from it."""
        return int(torch.randint(2**62, (), generator=self.generator))

    def memory(self, capacity: int) -> TaskMemory:
        """An empty memory of so many recoveries per class."""
        return TaskMemory(self.zoo.class_keys(), capacity=capacity, shape=self.zoo.picture_shape, device=self.device)

    def recoveries(
        self, config: RecoveringConfig, inverter: str, seed: int, asking: AskingConfig | None = None
    ) -> Recoveries:
        """The recoveries that a config asks for; see ``recoveries_of``."""
        return recoveries_of(self.zoo, config, inverter, device=self.device, seed=seed, asking=asking)

    def record(self, config: MetaTrainingConfig, model: MetaModel, parts: dict[str, Stateful]) -> TrainingRecord:
        """What reports and keeps the training; its parts are what a checkpoint holds besides."""
        return TrainingRecord(self.zoo, self.data, config, model, self.generator, self.device, parts)


def zoo_statistics(zoo: Zoo, ids: Collection[str] | None = None) -> tuple[list[float], list[float]]:
    """The normalisation that most teachers (of these ids, where any are given) use: channel means and deviations."""
    channels = zoo.picture_shape[0]
    fitting = [c for c in zoo.cards if c.input_size[0] == channels and (ids is None or c.id in ids)]
    (mean, std), _ = Counter((tuple(c.mean), tuple(c.std)) for c in fitting).most_common(1)[0]
    return list(mean), list(std)


def start_model(zoo: Zoo, config: AdaptConfig, generator: torch.Generator, details: dict[str, Any]) -> MetaModel:
    """A meta-model with fresh weights that takes the zoo's pictures."""
    mean, std = zoo_statistics(zoo)
    learner = make_learner(
        config.learner,
        LearnerConfig(
            inner_lr=config.inner_lr,
            inner_steps=getattr(config, "inner_steps", config.test_steps),
            first_order=getattr(config, "first_order", False),
        ),
    )
    return new_meta_model(
        config.architecture,
        shape=zoo.picture_shape,
        way=config.way,
        mean=mean,
        std=std,
        learner=learner,
        width=config.width,
        seed=int(torch.randint(2**62, (), generator=generator)),
        adapt_steps=config.test_steps,
        details={"zoo": zoo.name, "way": config.way, **details},
    )
