"""Meta-training on the real pictures: the reference above, which no data-free method may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dfml.core.events import Done, Event
from dfml.core.seeds import derive_seed
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.meta.outer import OuterLoop, Task
from dfml.training.method import METHODS, MetaTrainingConfig, Method, start_model
from dfml.training.record import TrainingRecord
from dfml.zoo.zoo import Zoo


@METHODS.register("real-data")
class RealData(Method):
    """MAML, ANIL or ProtoNet on episodes of the real training classes."""

    title = "Real data (reference)"
    summary = (
        "Meta-trains on the real training pictures with MAML, ANIL or ProtoNet. Not data-free: the ceiling of a table."
    )
    reference = "Finn et al., ICML 2017 (MAML); Raghu et al., ICLR 2020 (ANIL); Snell et al., NeurIPS 2017 (ProtoNet)"
    data_free = False
    long = True
    Config = MetaTrainingConfig

    @classmethod
    def demo(cls) -> MetaTrainingConfig:
        """Minutes on two CPU cores: ProtoNet, since MAML takes many times as long to get anywhere."""
        return MetaTrainingConfig(learner="protonet", iterations=6000, tasks=2, keep="best", validate_every=500)

    @classmethod
    def paper(cls) -> MetaTrainingConfig:
        """60,000 iterations of 4 tasks, second order, chosen on validation classes."""
        return MetaTrainingConfig(iterations=60_000, validate_every=500, validation_episodes=600, keep="best")

    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Train on ``data``'s split ``train``; see ``Method.train``.

        Raises:
            BadInput: ``data`` is missing or has no training split.
        """
        cfg: MetaTrainingConfig = self.config
        self.check_data(data)
        channels, size, _ = zoo.picture_shape
        split = load_split(data, "train", size=size, channels=channels)
        model = start_model(zoo, cfg, generator, {"method": self.name}).to(device)
        outer = OuterLoop(model, cfg.outer_lr)
        record = TrainingRecord(zoo, data, cfg, model, generator, device, {"outer": outer})
        first_seed = int(torch.randint(2**62, (), generator=generator))
        done = record.restore(state)

        for step in range(done + 1, cfg.iterations + 1):
            sampler = EpisodeSampler(
                split,
                way=cfg.way,
                shot=cfg.shot,
                query=cfg.query,
                episodes=cfg.tasks,
                seed=derive_seed(first_seed, step),
            )
            tasks: list[Task] = []
            for episode in sampler:
                e = episode.to(device)
                tasks.append((e.support_x, e.support_y, e.query_x, e.query_y))
            outcome = outer.step(tasks)
            yield from record.events(step, outcome, task=tasks[0], text="meta-training on real pictures")
        yield Done(record.finish([f"real training pictures ({split.name})"]))
