"""The work of a ``pretrain`` run: train a zoo's teachers, and put it among the app's own zoos where it has a name."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Done, Event, Progress, Scalars
from dfml.core.paths import given_path, own_zoos
from dfml.runs.spec import JobContext, RunSpec
from dfml.zoo.build.zoo_config import PretrainConfig, claim_zoo, new_own_zoo, own_zoo


def check(spec: RunSpec) -> None:
    """See that a zoo can be trained as asked, before it is queued and before any image is read; torch is not needed.

    Raises:
        BadInput: No such data, too few classes, an unknown architecture, or the zoo's name is taken or no name.
    """
    out, data = new_own_zoo(spec.label), spec.data or ""
    if not data:
        raise BadInput("name the folder of the images to train on: DIR, with DIR/train/<class>/<image> in it.")
    source = Path(data) if data.startswith("sample:") else given_path(data)
    claim_zoo(source, out, _architectures(spec), PretrainConfig.parse({"seed": spec.seed, **spec.config}))


def pretrain(context: JobContext) -> Generator[Event, None, None]:
    """Train the teachers of a zoo; those that are whole are kept, so a stopped run goes on."""
    from dfml.zoo.build.pretrain import pretrain_zoo

    spec, out = context.spec, context.folder / "zoo"
    if spec.label:
        out /= own_zoo(spec.label).name
    config = PretrainConfig.parse({"seed": spec.seed, **spec.config})
    yield Progress(0, config.models, "reading the images")

    def report(done: int, total: int, teacher: str, accuracy: float) -> None:
        context.emit(Progress(done, total, f"teacher {teacher}"))
        context.emit(Scalars(done, {"zoo/accuracy": accuracy}))
        context.emit(Checkpoint(done, {"done": done}))

    data, jobs = Path(spec.needed("data")), spec.cluster or min(spec.threads or 1, config.models)
    accuracies = pretrain_zoo(data, out, _architectures(spec), config, jobs=jobs, report=report)
    zoo = _among_own(out) if spec.label else out
    yield Done({"zoo": str(zoo), "models": len(accuracies), "accuracy": sum(accuracies) / len(accuracies)})


def _architectures(spec: RunSpec) -> list[str]:
    return [name.strip() for name in spec.method.split(",") if name.strip()]


def _among_own(made: Path) -> Path:
    """Move a whole zoo among the app's own, in one step, under its name, or that and a number where it was taken."""
    own_zoos().mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        target = own_zoos() / (made.name if number == 1 else f"{made.name}-{number}")
        if not target.exists():
            with suppress(OSError):  # on another disk, as a run's folder may be: it stays where it is
                return made.rename(target)
            return made
    raise AssertionError
