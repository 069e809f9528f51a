"""Recovering one teacher's task from beginning to end, with quality measures beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Images, Progress, Scalars
from dfml.core.paths import read_json, write_atomically, write_json
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import INVERTERS
from dfml.inversion.terms import cross_entropy
from dfml.zoo.oracle import AutogradOracle
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo

PICTURES_EVERY = 10
REFERENCE_STEPS = 20


@dataclass(frozen=True)
class Recovery:
    """What came out: the pseudo task and the report of how good it is and what it cost."""

    task: PseudoTask
    report: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write ``pictures.safetensors`` and, last, ``report.json``: a folder with it is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            "images": self.task.images.cpu().contiguous(),
            "labels": self.task.labels.cpu().contiguous(),
            "soft_targets": self.task.soft_targets.cpu().contiguous(),
        }
        write_atomically(folder / "pictures.safetensors", lambda part: save_file(tensors, part))
        write_json(folder / "report.json", self.report)

    @classmethod
    def load(cls, folder: Path) -> Recovery:
        """Read what ``save`` wrote.

        Raises:
            BadInput: The folder is missing or its files are damaged.
        """
        report = read_json(folder / "report.json", f"recovery {folder.name}")
        try:
            tensors = load_file(folder / "pictures.safetensors")
            task = PseudoTask(
                tensors["images"],
                tensors["labels"],
                tensors["soft_targets"],
                str(report["teacher"]),
                report.get("cost", {}),
            )
        except (SafetensorError, OSError, KeyError) as error:
            raise BadInput(f"recovery {folder.name} is damaged: {error}.") from None
        return cls(task, report)


def labels_per_class(way: int, per_class: int) -> torch.Tensor:
    """Wanted labels, class after class: int64 [way * per_class]."""
    return torch.arange(way).repeat_interleave(per_class)


def invert_teacher(
    zoo: Zoo,
    which: str | int,
    inverter: str,
    config: Config | None = None,
    *,
    per_class: int = 20,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[Event]:
    """Recover a teacher's task.

    Args:
        zoo: The zoo.
        which: Id or position of the teacher.
        inverter: Registered name.
        config: The inverter's config; None takes its demo preset.
        per_class: Pictures a class, 1 .. 500.
        seed: Draws the first pictures, jitter and so on.
        device: Where to compute.

    Yields:
        Progress, losses and pictures while it runs; last ``Done(Recovery)``.

    Raises:
        BadInput: Unknown teacher or inverter, unusable weights, or ``per_class`` out of range.
    """
    if not 1 <= per_class <= 500:
        raise BadInput(f"pictures a class must be between 1 and 500, received {per_class}.")
    device = torch.device(device)
    cls = INVERTERS.get(inverter)
    work = cls(config)
    teacher, judge = zoo.teacher(which), zoo.judge(which)
    oracle = AutogradOracle(teacher, device)
    labels = labels_per_class(teacher.way, per_class)
    generator = torch.Generator().manual_seed(derive_seed(seed, "invert", teacher.card.id))
    tag = f"recovered/{teacher.card.id}"
    started = time.perf_counter()
    step = None
    for step in work.recover([oracle], [labels], generator=generator, device=device):
        yield Progress(step.step, step.total, f"teacher {teacher.card.id}")
        if step.step % PICTURES_EVERY == 0 or step.step in (1, step.total):
            yield Scalars(step.step, {f"inversion/{name}": value for name, value in step.losses.items()})
            yield Images(step.step, tag, step.images.cpu(), step.labels.tolist())
    if step is None:
        raise BadInput(f"inverter {inverter!r} took no step.")
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    task = step.tasks[0]
    queries = oracle.queries
    quality = measure(task, teacher, judge)
    report = {
        "zoo": zoo.name,
        "teacher": teacher.card.id,
        "classes": teacher.card.classes,
        "method": inverter,
        **quality,
        "seconds": round(seconds, 3),
        "reference_seconds": round(reference_seconds(oracle, labels, step.total, device), 3),
        "images": len(task.labels),
        "queries": queries,
        "per_class": per_class,
        "seed": seed,
        "device": str(device),
        "cost": task.cost,
        "config": json.loads(work.config.model_dump_json()),
    }
    final = {f"inversion/{name}": value for name, value in quality.items() if value is not None}
    yield Scalars(step.total, {**final, "inversion/seconds": seconds, "queries": float(queries)})
    yield Done(
        Recovery(
            PseudoTask(task.images.cpu(), task.labels.cpu(), task.soft_targets.cpu(), task.teacher_id, task.cost),
            report,
        )
    )


@torch.no_grad()
def measure(task: PseudoTask, teacher: Teacher, judge: Teacher | None) -> dict[str, float | None]:
    """Accuracy of the own teacher and agreement of the judge (None where there is none), in [0, 1]."""
    own = (teacher.logits(task.images).argmax(1) == task.labels).float().mean()
    agreement = None
    if judge is not None:
        agreement = float((judge.to(task.images.device).logits(task.images).argmax(1) == task.labels).float().mean())
    return {"teacher_accuracy": float(own), "judge_agreement": agreement}


def reference_seconds(oracle: AutogradOracle, labels: torch.Tensor, steps: int, device: torch.device) -> float:
    """Seconds of ``steps`` bare passes, forward and backward to the pixels, of the same batch.

    Timed over at most 20 passes (after two to warm up) and scaled; the oracle's counters are left alone.
    """
    x = torch.rand(len(labels), *oracle.picture_shape, device=device)
    labels = labels.to(device)
    timed = min(REFERENCE_STEPS, steps)

    def bare_pass() -> None:
        pixels = x.clone().requires_grad_(True)
        torch.autograd.grad(cross_entropy(oracle.teacher.logits(pixels), labels).mean(), pixels)

    for _ in range(2):
        bare_pass()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    for _ in range(timed):
        bare_pass()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / timed * steps
