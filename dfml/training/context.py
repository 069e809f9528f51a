"""All that a method trains with: how a training begins, what it reports, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from dfml.core.config import Config
from dfml.core.events import TASK, Checkpoint, Embedding, Event, Images, Note, Progress, SafePoint, Scalars
from dfml.data.episodes import PseudoTask
from dfml.inversion.dynamic_set import DynamicSet
from dfml.meta.fusion import load_average_of_alike
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterStep, Task
from dfml.nets.checkpoint import flatten_state, part_of_state
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import MemoryTask, TaskMemory
from dfml.tasks.similarity import DiversityMeter
from dfml.training.fusing import fused
from dfml.training.new_model import start_model
from dfml.training.options import AdaptConfig, MetaTrainingConfig, RecoveringConfig
from dfml.training.recovered import recoveries_of
from dfml.training.taking_part import TakingPart
from dfml.training.used_classes import as_used
from dfml.training.validation import Validation
from dfml.zoo.teacher import probe
from dfml.zoo.zoo import Zoo

POINTS = 1000
CHECKPOINTS = 20
SHOWN = 40
EMBED_EVERY = 10
REPORTED = "reported accuracies"
"""What a training that starts from the best reported teacher names as side information."""
SHARED_NAMES = "names of classes that teachers share"
"""What a training names as side information in which classes of several teachers are one by their name."""


Shown = tuple[torch.Tensor, list[int], list[str]]
"""Images to look at, their labels, and the key of each one's class, see ``Zoo.class_keys``."""


def one_of_each(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """Return the first image of each class, and its label; labels int64 [N], or soft ones [N, way]."""
    hard = (labels if labels.dim() == 1 else labels.argmax(1)).tolist()
    firsts = {label: hard.index(label) for label in sorted(set(hard))}
    return images[list(firsts.values())].detach().cpu(), list(firsts)


class Stateful(Protocol):
    """A part that can be saved and restored."""

    def state(self) -> dict[str, Any]:
        """Copied tensors and JSON values."""
        ...

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""


class StepRecord:
    """Turns the steps of a run into events: progress, curves, checkpoints of the generator and of its parts by name."""

    def __init__(self, total: int, generator: torch.Generator, parts: dict[str, Stateful]) -> None:
        self.total, self.generator, self.parts = total, generator, parts
        self.window: dict[str, list[float]] = {}
        self.log_every = max(1, total // POINTS)

    def restore(self, state: Mapping[str, Any] | None) -> range:
        """Load a checkpoint's state, if any; the steps that are left."""
        if state is None:
            return range(1, self.total + 1)
        for name, part in self.parts.items():
            part.load(part_of_state(state, name))
        self.generator.set_state(state["generator"])
        self.window = {name: list(values) for name, values in part_of_state(state, "window").items()}
        return range(int(state["step"]) + 1, self.total + 1)

    def events(self, step: int, values: dict[str, float], text: str = "") -> Iterator[Event]:
        """Report one step, 1 .. total."""
        yield Progress(step, self.total, text)
        yield from self.curves(step, values)
        yield self.kept(step)

    def curves(self, step: int, values: dict[str, float]) -> Iterator[Event]:
        """Points of curves, where they are due: means over the steps since the last ones."""
        for name, value in values.items():
            self.window.setdefault(name, []).append(value)
        if self.window and self.due(step, self.log_every):
            yield Scalars(step, {name: sum(v) / len(v) for name, v in self.window.items()})
            self.window = {}

    def due(self, step: int, every: int) -> bool:
        """Whether it is the turn of what is done every so many steps, and at the last."""
        return step % max(1, every) == 0 or step == self.total

    def kept(self, step: int) -> Event:
        """A checkpoint, or the chance of one."""
        if self.due(step, self.total // CHECKPOINTS):
            return Checkpoint(step, self._snapshot(step))
        return SafePoint(step, lambda: self._snapshot(step))

    def _snapshot(self, step: int) -> dict[str, Any]:
        nested = {name: part.state() for name, part in self.parts.items()}
        nested["window"] = {name: list(values) for name, values in self.window.items()}
        return flatten_state({**nested, "step": step, "generator": self.generator.get_state().clone()})


class TrainingRecord(StepRecord):
    """Turns outer steps into events: curves, diversity, validation, images, checkpoints; see ``Training.record``."""

    def __init__(
        self, training: Training, config: MetaTrainingConfig, model: MetaModel, parts: dict[str, Stateful]
    ) -> None:
        self.config, self.model, self.device = config, model, training.device
        self.validation = Validation(training.zoo, training.data, config, config.iterations)
        self.meter = DiversityMeter(probe())
        own = {"validation": self.validation, "meter": self.meter}
        super().__init__(config.iterations, training.generator, {**parts, **own})
        merging = any(isinstance(part, TaskMemory | DynamicSet) for part in parts.values())
        self.by_name = (merging or getattr(config, "consensus", 0) > 0) and share_names(training.zoo)
        # The probe's loss needs an output for each label.
        self.embeds = config.way <= self.meter.probe.way
        self.class_keys = training.zoo.class_keys()
        zoo = training.zoo
        named = [
            (zoo.class_key(card, slot), card.classes[slot])
            for card in zoo.cards
            for slot in zoo.slots(card)
            if card.classes
        ]
        self.named = dict(named)

    def events(
        self,
        step: int,
        outcome: OuterStep | None,
        *,
        losses: dict[str, float] | None = None,
        task: Task | MemoryTask | None = None,
        images: Callable[[], Shown] | None = None,
        text: str = "",
    ) -> Iterator[Event]:
        """Report one iteration, 1 .. iterations; ``outcome`` is None while only images are recovered.

        ``losses`` are the inversion's, with ``teacher_accuracy``; ``task`` is one of the meta-batch, for the diversity;
        ``images`` gives what to show, and is asked rarely.
        """
        cfg = self.config
        yield Progress(step, cfg.iterations, text)
        if step == 1 and self.validation.why_not:
            kept = " The last weights are kept." if cfg.keep == "best" else ""
            yield Note(step, f"not validated: {self.validation.why_not}{kept}", "validation")
        values = {f"inversion/{name}": value for name, value in (losses or {}).items()}
        if outcome is not None:
            values |= {"train/loss": outcome.loss, "train/accuracy": outcome.accuracy}
            if outcome.alignment is not None:
                values["grad/alignment"] = outcome.alignment
        yield from self.curves(step, values)
        embed_every = max(EMBED_EVERY, self.log_every)
        if task is not None and self.embeds and step % embed_every == 0:
            task, classes = (task.task, task.classes) if isinstance(task, MemoryTask) else (task, [])
            self.meter.add(f"step {step}", torch.cat([task[0], task[2]]), torch.cat([task[1], task[3]]))
            yield Scalars(step, {"tasks/diversity": self.meter.value()})
            yield Embedding(step, [f"step {step}"], self.meter.vectors[-1][None])
            firsts, labels = one_of_each(task[0], task[1])
            yield Images(step, TASK, firsts, labels, self.called(classes[label] for label in labels if classes))
        if images is not None and (self.due(step, cfg.iterations // SHOWN) or step == 1):
            shown, labels, keys = images()
            yield Images(step, "pictures", shown.detach().cpu(), labels, self.called(keys))
        if outcome is not None and self.due(step, cfg.validate_every):
            yield from self.validation.measure(self.model, step, self.device)
        yield self.kept(step)

    def called(self, keys: Iterable[str]) -> list[str]:
        """The names of classes by their keys; empty ones where the teachers' cards name none."""
        return [self.named.get(key, "") for key in keys]

    def keys_of(self, task: PseudoTask) -> list[str]:
        """The key of each image's class."""
        return [self.class_keys[task.teacher_id][label] for label in task.labels.tolist()]

    def shown(self, task: PseudoTask) -> Shown:
        """Up to eight images of each class, to look at."""
        rows = [i for label in task.labels.unique().tolist() for i in (task.labels == label).nonzero()[:8, 0].tolist()]
        keys = self.keys_of(task)
        return task.images[rows], task.labels[rows].tolist(), [keys[row] for row in rows]

    def finish(self, side_information: list[str]) -> MetaModel:
        """Choose the weights and complete the card."""
        self.validation.choose(self.model)
        self.model.details.update(self.validation.over_the_run())
        inherited = self.model.details.get("start", {}).get("side_information", [])
        told = [*inherited, *side_information, *[SHARED_NAMES] * self.by_name, *self.validation.side_information]
        self.model.details["side_information"] = list(dict.fromkeys(told))
        self.model.details["diversity_probe"] = "embedded probe, for the shown number tasks/diversity alone"
        if self.validation.why_not:
            self.model.details["not_validated"] = self.validation.why_not
        return self.model


def share_names(zoo: Zoo) -> bool:
    """Whether two teachers have a class that the zoo takes for one; see ``Zoo.class_key``."""
    keys = [set(keys) for keys in zoo.class_keys().values()]
    return sum(map(len, keys)) > len(set().union(*keys))


def side_information_of(model: MetaModel) -> list[str]:
    """What the choice of its first weights looked at."""
    return [REPORTED] if "init" in model.details else []


@dataclass(frozen=True)
class Training:
    """What a training is given.

    The generator is on the CPU: the same seed gives the same model. ``data`` is a data set or sample for validation,
    on which ``real-data`` trains; ``state`` that of a ``Checkpoint``, to go on from there; ``start`` the folder of a
    meta-model to start from.
    """

    zoo: Zoo
    _: KW_ONLY
    device: torch.device
    generator: torch.Generator
    data: str | None = None
    state: Mapping[str, Any] | None = None
    start: Path | None = None

    def begin(
        self, method: str, config: AdaptConfig, teachers: TakingPart, nets: Iterable[nn.Module] = ()
    ) -> Generator[Event, None, MetaModel]:
        """Tell who takes part, and make the meta-model with its first weights, on the device.

        They are those of ``start``, else as ``init`` says; ``init=average`` takes the mean of the teachers' ``nets``.
        """
        yield from teachers.events(self.zoo)
        yield from teachers.losses(config)
        model = start_model(self.zoo, config, self.generator, {"method": method, **teachers.details()})
        init = "start" if self.start else getattr(config, "init", "random")
        if init == "start":
            yield from self.take_start(model)
        if init == "average":
            alike, count = load_average_of_alike(model, nets)
            if alike < count:
                of = f"the mean of {alike} teachers: the others are no" if alike else "fresh weights: no teacher is a"
                yield Note(0, f"starts from {of} {config.architecture} like it", kind="teacher")
        if init in ("best-teacher", "any-teacher"):
            from dfml.training.ours.trust import start_from_any, start_from_best

            start_from = start_from_best(self.zoo, model)
            yield from start_from if init == "best-teacher" else start_from_any(self.zoo, model, self.seed())
        return model.to(self.device)

    def using(self, config: Config) -> Training:
        """The same with the zoo as a config makes use of it; see ``as_used``."""
        return replace(self, zoo=as_used(self.zoo, config, self.generator.initial_seed()))

    def fusing(self, method: str, config: Any, **how: Any) -> tuple[Training, Any]:  # noqa: ANN401 - a config, as given
        """The same with the teachers alone that are fused, and the config of their network; see ``fused``."""
        zoo, found = fused(self.zoo, config, method, **how)
        return replace(self, zoo=zoo), found

    def take_start(self, model: MetaModel) -> Iterator[Event]:
        """Give a new model the weights of ``start``, if there is one, and tell what those had seen; see there."""
        if self.start is not None:
            from dfml.training.first_weights import start_from_model

            yield from start_from_model(self.start, model)

    def untaught(self, method: str, config: AdaptConfig) -> MetaModel:
        """A meta-model with fresh weights, for methods that work on weights and use nothing real."""
        return start_model(self.zoo, config, self.generator, {"method": method, "side_information": []})

    def seed(self) -> int:
        """A seed out of the generator, for what draws apart from it."""
        return int(torch.randint(2**62, (), generator=self.generator))

    def memory(self, capacity: int) -> TaskMemory:
        """An empty memory of so many recoveries per class."""
        return TaskMemory(self.zoo.class_keys(), capacity=capacity, shape=self.zoo.picture_shape, device=self.device)

    def recoveries(self, config: RecoveringConfig, inverter: str, seed: int) -> Recoveries:
        """Return the recoveries that a config asks for; see ``recoveries_of``."""
        return recoveries_of(self.zoo, config, inverter, device=self.device, seed=seed)

    def record(self, config: MetaTrainingConfig, model: MetaModel, parts: dict[str, Stateful]) -> TrainingRecord:
        """Return what reports the outer steps; a checkpoint holds the ``parts``, and ``restore`` fills them again."""
        return TrainingRecord(self, config, model, parts)
