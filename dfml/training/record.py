"""What every training loop reports and keeps, so that a method's file holds only its idea."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch

from dfml.core.events import Checkpoint, Embedding, Event, Images, Note, Progress, SafePoint, Scalars
from dfml.core.state import flatten_state, part_of_state
from dfml.meta.model import MetaModel
from dfml.meta.outer import OuterStep, Task
from dfml.tasks.embedding import DiversityMeter
from dfml.training.options import MetaTrainingConfig
from dfml.training.validation import Validation
from dfml.zoo.teacher import probe
from dfml.zoo.zoo import Zoo

POINTS = 1000
CHECKPOINTS = 20
PICTURES = 40
EMBED_EVERY = 10
REPORTED = "reported accuracies"
"""What a training that starts from the best reported teacher names as side information."""


class Stateful(Protocol):
    """A part that can be saved and restored."""

    def state(self) -> dict[str, Any]:
        """Copied tensors and JSON values."""
        ...

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        ...


class StepRecord:
    """Turns steps into events: progress, curves, checkpoints.

    Args:
        total: Steps of the run.
        generator: Its state is part of each checkpoint.
        parts: Whatever else must be saved, by name.
    """

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
        if self.due(step, self.log_every) and (self.window or self.always):
            yield Scalars(step, {name: sum(v) / len(v) for name, v in self.window.items()})
            self.window = {}

    always = False
    """Whether a point is told of that holds no number."""

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
    """Turns outer steps into events: curves, diversity, validation, images, checkpoints.

    Args:
        zoo: For the embedded validation sample.
        data: Validation data, or None for the sample.
        config: Iterations and validation.
        model: The meta-model in training.
        generator: Its state is part of each checkpoint.
        device: Where the model is.
        parts: Whatever else must be saved, by name.
    """

    always = True

    def __init__(
        self,
        zoo: Zoo,
        data: str | None,
        config: MetaTrainingConfig,
        model: MetaModel,
        generator: torch.Generator,
        device: torch.device,
        parts: dict[str, Stateful],
    ) -> None:
        self.config, self.model, self.device = config, model, device
        self.validation = Validation(zoo, data, config)
        self.meter = DiversityMeter(probe())
        super().__init__(config.iterations, generator, {**parts, "validation": self.validation, "meter": self.meter})
        # The probe's loss needs an output for each label.
        self.embeds = config.way <= self.meter.probe.way

    def events(
        self,
        step: int,
        outcome: OuterStep | None,
        *,
        losses: dict[str, float] | None = None,
        task: Task | None = None,
        pictures: Callable[[], tuple[torch.Tensor, list[int]]] | None = None,
        text: str = "",
    ) -> Iterator[Event]:
        """Report one iteration.

        Args:
            step: 1 .. iterations.
            outcome: Of the outer step; None while only images are recovered.
            losses: Inversion losses.
            task: One task of the meta-batch, for the diversity.
            pictures: Gives images to show and their labels; asked rarely.
            text: What is going on.
        """
        cfg = self.config
        yield Progress(step, cfg.iterations, text)
        if step == 1 and self.validation.why_not:
            kept = " The last weights are kept." if cfg.keep == "best" else ""
            yield Note(step, f"not validated: {self.validation.why_not}{kept}", "validation")
        values = {f"inversion/{k}": v for k, v in (losses or {}).items() if k != "accuracy"}
        if losses and "accuracy" in losses:
            values["inversion/teacher_accuracy"] = losses["accuracy"]
        if outcome is not None:
            values |= {"train/loss": outcome.loss, "train/accuracy": outcome.accuracy}
            if outcome.alignment is not None:
                values["grad/alignment"] = outcome.alignment
        yield from self.curves(step, values)
        embed_every = max(EMBED_EVERY, self.log_every)
        if task is not None and self.embeds and step % embed_every == 0:
            self.meter.add(f"step {step}", torch.cat([task[0], task[2]]), torch.cat([task[1], task[3]]))
            yield Scalars(step, {"tasks/diversity": self.meter.value()})
            if step % (8 * embed_every) == 0:
                yield Embedding(step, list(self.meter.ids), self.meter.stacked())
        if pictures is not None and (self.due(step, cfg.iterations // PICTURES) or step == 1):
            images, labels = pictures()
            yield Images(step, "pictures", images.detach().cpu(), labels)
        if outcome is not None and self.due(step, cfg.validate_every):
            yield from self.validation.measure(self.model, step, self.device)
        yield self.kept(step)

    def finish(self, side_information: list[str]) -> MetaModel:
        """Choose the weights and complete the card."""
        self.validation.choose(self.model)
        self.model.details.update(self.validation.over_the_run())
        self.model.details["side_information"] = [*side_information, *self.validation.side_information]
        self.model.details["diversity_probe"] = "embedded probe, for the shown number tasks/diversity alone"
        if self.validation.why_not:
            self.model.details["not_validated"] = self.validation.why_not
        return self.model


def side_information_of(model: MetaModel) -> list[str]:
    """What the choice of its first weights looked at."""
    return [REPORTED] if "init" in model.details else []
