"""Recovering one teacher's task from beginning to end, with quality measures beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Images, Note, Progress, Scalars
from dfml.core.paths import read_json, write_atomically, write_json
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import INVERTERS, ExtraLoss, Inverter
from dfml.inversion.terms import cross_entropy
from dfml.inversion.warm_up import WarmUp, describe, warm_up
from dfml.reports.quality import measure
from dfml.zoo.oracles.base import AutogradOracle, Oracle
from dfml.zoo.oracles.choose import AskingConfig, make_oracle
from dfml.zoo.oracles.zeroth_order import ZerothOrderOracle
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


def invert_teachers(
    zoo: Zoo,
    which: Sequence[str | int],
    work: Inverter,
    *,
    per_class: int = 20,
    seed: int = 0,
    device: torch.device | str = "cpu",
    asking: AskingConfig | None = None,
    warmed: WarmUp | None = None,
    extra_loss: ExtraLoss | None = None,
) -> Iterator[Event]:
    """Recover the tasks of one or several teachers in step.

    A teacher's first pictures, jitter and so on depend on the seed and its id, not on who is recovered with it;
    only ``dynamic-set`` paints one set for all that are recovered together.

    Args:
        zoo: The zoo, local or remote.
        which: Ids or positions of the teachers.
        work: The inverter, warmed up where it wants to be.
        per_class: Pictures a class, 1 .. 500.
        seed: Draws everything.
        device: Where to compute.
        asking: How the teachers are questioned.
        warmed: For the report.
        extra_loss: See ``Inverter.recover``.

    Yields:
        Progress, losses and pictures while it runs; last ``Done(list[Recovery])``.

    Raises:
        BadInput: Unknown teacher, unusable weights, or ``per_class`` out of range.
    """
    if not 1 <= per_class <= 500:
        raise BadInput(f"pictures a class must be between 1 and 500, received {per_class}.")
    device, asking = torch.device(device), asking or AskingConfig()
    cards = [zoo.card(one) for one in which]
    directions = [torch.Generator().manual_seed(derive_seed(seed, "directions", card.id)) for card in cards]
    oracles = [
        make_oracle(zoo, card.id, asking, generator=g, device=device) for card, g in zip(cards, directions, strict=True)
    ]
    labels = [labels_per_class(card.way, per_class) for card in cards]
    if getattr(work.config, "bn", 0) and not all(o.gives_statistics for o in oracles):
        blind = ", ".join(o.teacher_id for o in oracles if not o.gives_statistics)
        yield Note(0, f"the BN term is left out for {blind}: no batch-normalisation statistics to be seen", "terms")
    text = f"teacher {cards[0].id}" if len(cards) == 1 else f"{len(cards)} teachers together"
    generator = torch.Generator().manual_seed(derive_seed(seed, "invert"))
    _check_budget(oracles, labels, work.config)
    spent, resumed, step = 0.0, time.perf_counter(), None
    for step in work.recover(oracles, labels, generator=generator, device=device, extra_loss=extra_loss):
        if step.step == step.total and device.type == "cuda":
            torch.cuda.synchronize(device)
        # What is done with the steps (files, pictures on a page) is not part of the recovery.
        spent += time.perf_counter() - resumed
        yield Progress(step.step, step.total, text)
        if step.total <= PICTURES_EVERY or step.step % PICTURES_EVERY == 0 or step.step in (1, step.total):
            yield Scalars(step.step, {f"inversion/{name}": value for name, value in step.losses.items()})
            counts = [len(y) for y in labels]
            for card, images, shown in zip(cards, step.images.split(counts), step.labels.split(counts), strict=True):
                yield Images(step.step, f"recovered/{card.id}", images.cpu(), shown.tolist())
        resumed = time.perf_counter()
    if step is None:
        raise BadInput(f"inverter {work.name!r} took no step.")
    seconds = spent / len(cards)
    recoveries = []
    for oracle, card, task in zip(oracles, cards, step.tasks, strict=True):
        teacher = oracle.teacher if isinstance(oracle, AutogradOracle) else None
        bare = None if teacher is None else round(reference_seconds(oracle, task.labels, step.total, device), 3)
        task.cost["seconds"] = seconds
        quality = measure(task, teacher, zoo.judge(card.id))
        report = {
            "zoo": zoo.name,
            "teacher": card.id,
            "classes": card.classes,
            "method": work.name,
            **quality,
            "seconds": round(seconds, 3),
            "reference_seconds": bare,
            "images": len(task.labels),
            "steps": step.total,
            "passes": task.cost["passes"],
            "queries": int(task.cost["queries"]),
            "together": len(cards),
            "per_class": per_class,
            "seed": seed,
            "device": str(device),
            "oracle": way_of_asking(oracle, asking),
            "warm_up": describe(warmed),
            "cost": task.cost,
            "config": json.loads(work.config.model_dump_json()),
        }
        final = {f"inversion/{name}": value for name, value in quality.items() if value is not None}
        yield Scalars(step.total, {**final, "inversion/seconds": seconds, "queries": float(report["queries"])})
        kept = [t.cpu() for t in (task.images, task.labels, task.soft_targets)]
        recoveries.append(Recovery(PseudoTask(*kept, task.teacher_id, task.cost), report))
    yield Done(recoveries)


def invert_teacher(
    zoo: Zoo,
    which: str | int,
    inverter: str,
    config: Config | None = None,
    *,
    per_class: int = 20,
    seed: int = 0,
    device: torch.device | str = "cpu",
    asking: AskingConfig | None = None,
) -> Iterator[Event]:
    """Recover one teacher's task from beginning to end, warm-up included; see ``invert_teachers``.

    Args:
        zoo: The zoo.
        which: Id or position of the teacher.
        inverter: Registered name.
        config: The inverter's config; None takes its demo preset.
        per_class: Pictures a class, 1 .. 500.
        seed: Draws everything.
        device: Where to compute.
        asking: How the teacher is questioned.

    Yields:
        Progress, losses and pictures while it runs; last ``Done(Recovery)``.
    """
    work, device, warmed = INVERTERS.get(inverter)(config), torch.device(device), None
    asking = asking or AskingConfig()
    for event in warm_up(zoo, work, [zoo.card(which).id], seed=seed, device=device, asking=asking):
        if isinstance(event, Done):
            warmed = event.result
        else:
            yield event
    for event in invert_teachers(
        zoo, [which], work, per_class=per_class, seed=seed, device=device, asking=asking, warmed=warmed
    ):
        yield Done(event.result[0]) if isinstance(event, Done) else event


def _check_budget(oracles: list[Oracle], labels: list[torch.Tensor], config: Config) -> None:
    """Refuse a recovery whose bill is above the budget before its first question, not after its last.

    Raises:
        BadInput: It is.
    """
    steps = int(getattr(config, "steps", 0))
    for oracle, wanted in zip(oracles, labels, strict=True):
        if isinstance(oracle, ZerothOrderOracle) and oracle.config.budget is not None:
            bill = steps * (oracle.config.q + 1) * len(wanted) + len(wanted)
            if bill > oracle.config.budget:
                raise BadInput(
                    f"recovering teacher {oracle.teacher_id!r} asks {bill} pictures ({steps} steps, q = "
                    f"{oracle.config.q}, {len(wanted)} pictures), the budget is {oracle.config.budget}: raise it, or "
                    "lower q, the steps or the pictures a class."
                )


def way_of_asking(oracle: Oracle, asking: AskingConfig) -> dict[str, Any]:
    """How the teacher was asked, for a report."""
    if isinstance(oracle, AutogradOracle):
        return {"kind": "autograd"}
    return {"kind": "zeroth-order", **asking.model_dump(mode="json", exclude={"oracle"})}


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
