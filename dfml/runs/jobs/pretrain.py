"""The work of a ``pretrain`` run: train the teachers of a zoo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dfml.core.events import Checkpoint, Done, Event, Progress, Scalars
from dfml.runs.jobs.context import JobContext, needed


def pretrain(context: JobContext) -> Iterator[Event]:
    """Train the teachers of a zoo; those that are whole are kept, so a stopped run goes on."""
    from dfml.zoo.build.class_plan import PretrainConfig
    from dfml.zoo.build.pretrain import pretrain_zoo

    spec = context.spec
    config = PretrainConfig.parse({"seed": spec.seed, **spec.config})
    architectures = [name.strip() for name in spec.method.split(",") if name.strip()]
    out = context.folder / "zoo"
    started = Progress(0, config.models, "reading the pictures")
    yield started

    def report(done: int, total: int, teacher: str, accuracy: float) -> None:
        context.emit(Progress(done, total, f"teacher {teacher}"))
        context.emit(Scalars(done, {"zoo/accuracy": accuracy}))
        context.emit(Checkpoint(done, {"done": done}))

    accuracies = pretrain_zoo(
        Path(needed(spec.data, "data")),
        out,
        architectures,
        config,
        jobs=min(spec.threads or 1, config.models),
        report=report,
    )
    yield Done({"zoo": str(out), "models": len(accuracies), "accuracy": sum(accuracies) / len(accuracies)})
