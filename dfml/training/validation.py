"""Watching a meta-model on validation classes while it trains."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from dfml.core.config import Options
from dfml.core.errors import BadInput
from dfml.core.events import Event, Progress, Scalars
from dfml.data.episodes import Episode, EpisodeSampler
from dfml.data.folders import load_split
from dfml.data.splits import list_splits, sample_of
from dfml.meta.adaptation import adapted_task
from dfml.meta.evaluation import Evaluation, evaluation_steps, query_accuracy
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterStep
from dfml.tasks.memory import TaskMemory
from dfml.training.options import VALIDATION_QUERY, VALIDATION_SHOT, WatchedConfig
from dfml.zoo.zoo import Zoo

VALIDATION_SEED, WATCH_SEED = 1, 2


def data_source(zoo: Zoo, data: str | None) -> str | None:
    """The given data, else the embedded sample of the zoo's domain, else None."""
    return sample_of(zoo.domain) if data is None else data


class Validation:
    """Accuracy on a fixed list of validation episodes (transductive), and the best weights so far.

    ``data`` is as of ``data_source``, ``total`` the steps of the training. ``why_not`` says in one sentence why nothing
    is measured; it is empty otherwise.

    Raises:
        BadInput: The given data cannot make these episodes; an embedded sample that cannot is passed over.
    """

    def __init__(self, zoo: Zoo, data: str | None, config: WatchedConfig, total: int) -> None:
        self.config, self.total = config, total
        self.keeps_best = getattr(config, "keep", "last") == "best"
        self.best = self.last = -1.0
        self.kept: dict[str, torch.Tensor] | None = None
        self.sampler: EpisodeSampler | None = None
        source = data_source(zoo, data)
        self.why_not = ""
        if source is None or (not source.startswith("sample:") and "val" not in list_splits(Path(source))):
            self.why_not = "no data with a val split was given, and no sample of the zoo's domain is embedded."
            return
        channels, size, _ = zoo.picture_shape
        counts = {
            "way": config.way,
            "shot": getattr(config, "shot", VALIDATION_SHOT),
            "query": VALIDATION_QUERY,
            "episodes": config.validation_episodes,
        }
        try:
            split = load_split(source, "val", size=size, channels=channels)
            self.sampler = EpisodeSampler(split, **counts, seed=VALIDATION_SEED)
        except BadInput as error:
            if data is not None:
                raise
            self.why_not = str(error)

    @property
    def side_information(self) -> list[str]:
        """What the choice of the weights used."""
        sampler = self.sampler if self.keeps_best else None
        return [f"validation pictures ({sampler.data.name})"] if sampler else []

    def measure(self, model: MetaModel, step: int, device: torch.device) -> Iterator[Event]:
        """Measure ``val/accuracy`` and ``val/ci95``; keep a copy of the weights where they are the best.

        Each episode gives a ``Progress``, so that a long validation can be watched and stopped.
        """
        if self.sampler is None:
            return
        adapt = model.learner.default_adaptation
        how = {"bn": ["transductive"], "adapt": [adapt], "device": device, "yardstick": False}
        episodes = evaluation_steps(model, self.sampler, **how)
        found: list[Evaluation] = []
        for done, found in episodes:  # noqa: B007
            yield Progress(step, self.total, f"validating, {done} of {len(self.sampler)} episodes")
        (row,) = found
        self.last = row.accuracy
        if row.accuracy > self.best:
            self.best = row.accuracy
            self.kept = copy.deepcopy({k: v.detach() for k, v in model.net.state_dict().items()})
        yield Scalars(step, {"val/accuracy": row.accuracy, "val/ci95": row.ci95})

    def over_the_run(self) -> dict[str, float]:
        """Peak and last validation accuracy, and by how much the last lies below the peak; empty without any."""
        if self.last < 0:
            return {}
        return {"peak": self.best, "last": self.last, "variation": self.best - self.last}

    def choose(self, model: MetaModel) -> None:
        """Put the best weights into the model, where the config says so."""
        if self.keeps_best and self.kept is not None:
            model.net.load_state_dict(self.kept)

    def state(self) -> dict[str, Any]:
        """For checkpoints."""
        kept = self.kept if self.keeps_best and self.kept else {}
        return {"best": self.best, "last": self.last, "kept": {k: v.clone() for k, v in kept.items()}}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        self.best = float(flat.get("best", -1.0))  # a method that did not validate left none
        self.last = float(flat.get("last", self.best))
        self.kept = {k[5:]: v.clone() for k, v in flat.items() if k.startswith("kept/")} or None


def pseudo_task_accuracy(model: MetaModel, memory: TaskMemory, config: WatchedConfig) -> float | None:
    """Accuracy in [0, 1] on tasks of the memory, adapted as at test; None where it can give no task.

    Beside the accuracy on new classes it tells how far a model over-fits what was recovered. There are as many tasks,
    with as many queries, as in a validation; the draw is fixed.
    """
    size = config.way, getattr(config, "shot", VALIDATION_SHOT), VALIDATION_QUERY
    if not memory.can_sample(*size):
        return None
    generator, hits = torch.Generator().manual_seed(VALIDATION_SEED), []
    for _ in range(config.validation_episodes):
        episode = model.prepared(Episode(*memory.sample(*size, generator=generator).task))
        hits.append(query_accuracy(adapted_task(model, episode, None, answers=True), episode))
    return sum(hits) / len(hits)


class Watch:
    """Accuracy on a few fixed validation episodes, none of them among those of ``val/accuracy``.

    They are made of the images of ``validation``, on the model's device; the config has ``watch``, ``watched_episodes``
    and ``shot``. Without ``episodes``, or with ``watch=training``, the training is watched: the accuracy on the pseudo
    tasks of the last outer step, which needs no real image. ``why_not`` says why no episodes are watched though they
    were wanted; it is empty otherwise.
    """

    def __init__(self, validation: Validation, config: Options, device: torch.device) -> None:
        self.shot, self.device = config.shot, device
        real = config.watch == "validation"
        self.seen, self.why_not = (validation.sampler, validation.why_not) if real else (None, "")
        self.episodes = self.sample(config.watched_episodes, WATCH_SEED)

    def sample(self, count: int, seed: int) -> list[Episode]:
        """Episodes of the validation images, on the device; none where there are no images."""
        if (seen := self.seen) is None:
            return []
        sampler = EpisodeSampler(seen.data, way=seen.way, shot=self.shot, query=seen.query, episodes=count, seed=seed)
        return [episode.to(self.device) for episode in sampler]

    def side_information(self, rewards: bool) -> list[str]:
        """What real images it used, and for what."""
        use = "stop rule and teacher policy" if rewards else "stop rule"
        return [f"labelled validation pictures ({self.seen.data.name}): {use}"] if self.seen else []

    def accuracy(self, model: MetaModel, outcome: OuterStep) -> float:
        """Accuracy in [0, 1] of the model, or of its last outer step."""
        if not self.episodes:
            return outcome.accuracy
        episodes = map(model.prepared, self.episodes)
        hits = [query_accuracy(adapted_task(model, e, None, answers=True), e) for e in episodes]
        return sum(hits) / len(hits)
