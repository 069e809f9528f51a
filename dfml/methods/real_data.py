"""Meta-training on real training images: a reference of a table, and not data-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dfml.core.events import Done, Event
from dfml.core.seeds import derive_seed
from dfml.training.method import METHODS, Method
from dfml.training.options import MetaTrainingConfig

if TYPE_CHECKING:
    from dfml.meta.outer import Task
    from dfml.training.context import Training


@METHODS.register("real-data")
class RealData(Method):
    """MAML, ANIL or ProtoNet on episodes of the real training classes."""

    title = "Real data (reference)"
    summary = "Meta-trains on real training images with MAML, ANIL or ProtoNet. Not data-free: for comparison."
    reference = "Finn et al., ICML 2017 (MAML); Raghu et al., ICLR 2020 (ANIL); Snell et al., NeurIPS 2017 (ProtoNet)"
    data_free = False
    long = True
    role = "reference"
    minutes = 7
    asks_teachers = False
    Config = MetaTrainingConfig

    @classmethod
    def demo(cls) -> MetaTrainingConfig:
        """Minutes on two CPU cores: ProtoNet, since MAML takes many times as long to get anywhere."""
        return MetaTrainingConfig(learner="protonet", iterations=6000, tasks=2, keep="best", validate_every=500)

    @classmethod
    def paper(cls) -> MetaTrainingConfig:
        """60,000 iterations of 4 tasks, second order, chosen on validation classes."""
        return MetaTrainingConfig(iterations=60_000, validate_every=500, validation_episodes=600, keep="best")

    def train(self, training: Training) -> Iterator[Event]:
        """Train on ``data``'s split ``train``; see ``Method.train``.

        Raises:
            BadInput: ``data`` is missing or has no training split.
        """
        from dfml.data.episodes import EpisodeSampler
        from dfml.data.folders import load_split
        from dfml.meta.outer import OuterLoop
        from dfml.training.new_model import start_model

        cfg: MetaTrainingConfig = self.config
        self.check_data(training.data)
        assert training.data is not None
        channels, size, _ = training.zoo.picture_shape
        split = load_split(training.data, "train", size=size, channels=channels)
        model = start_model(training.zoo, cfg, training.generator, {"method": self.name})
        yield from training.take_start(model)
        model.to(training.device)
        outer = OuterLoop(model, cfg.outer_lr)
        record = training.record(cfg, model, {"outer": outer})
        first_seed = training.seed()

        for step in record.restore(training.state):
            seed, sizes = derive_seed(first_seed, step), {"way": cfg.way, "shot": cfg.shot, "query": cfg.query}
            tasks: list[Task] = []
            for episode in EpisodeSampler(split, **sizes, episodes=cfg.tasks, seed=seed):
                e = episode.to(training.device)
                tasks.append((e.support_x, e.support_y, e.query_x, e.query_y))
            outcome = outer.step(tasks)
            yield from record.events(step, outcome, task=tasks[0], text="meta-training on real images")
        yield Done(record.finish([f"real training pictures ({split.name})"]))
