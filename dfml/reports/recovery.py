"""A recovery with its report: how good it is and what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Scalars, until_done
from dfml.core.paths import given_path, read_json, write_atomically, write_json
from dfml.data.episodes import PseudoTask
from dfml.inversion.pipeline import Recovered, recover_teachers
from dfml.inversion.recipe import Recipe
from dfml.inversion.terms import cross_entropy
from dfml.nets.device import device_name, peak_memory_mib, seconds_now
from dfml.reports.quality import answered, each_picture, measure
from dfml.zoo.oracles.base import AutogradOracle

REFERENCE_STEPS = 20
ANSWERS = "answers.json"


@dataclass(frozen=True)
class Recovery:
    """A pseudo task, the report of how good it is and what it cost, and ``quality.each_picture``."""

    task: PseudoTask
    report: dict[str, Any]
    each: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: str | Path) -> None:
        """Write ``pictures.safetensors``, ``answers.json`` and, last, ``report.json``: a folder with it is whole."""
        folder = given_path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self.task, name).cpu().contiguous() for name in ("images", "labels", "soft_targets")}
        write_atomically(folder / "pictures.safetensors", lambda part: save_file(tensors, part))
        if self.each:
            write_json(folder / ANSWERS, self.each)
        write_json(folder / "report.json", self.report)

    @classmethod
    def load(cls, folder: str | Path) -> Recovery:
        """Read what ``save`` wrote; ``BadInput`` where the folder is missing or its files are damaged.

        Recoveries of older versions have no answers.
        """
        folder = given_path(folder)
        report = read_json(folder / "report.json", f"recovery {folder.name}")
        each = read_json(folder / ANSWERS, f"recovery {folder.name}") if (folder / ANSWERS).is_file() else {}
        try:
            tensors = load_file(folder / "pictures.safetensors")
            parts = tensors["images"], tensors["labels"], tensors["soft_targets"]
            task = PseudoTask(*parts, str(report["teacher"]), report.get("cost", {}))
        except (SafetensorError, OSError, KeyError) as error:
            raise BadInput(f"recovery {folder.name} is damaged: {error}.") from None
        return cls(task, report, each)


def reported(recipe: Recipe, events: Iterable[Event]) -> Iterator[Event]:
    """Measure what the pipeline recovers.

    Yields:
        Its events, the measures at the last step, and last ``Done(list[Recovery])``, on the CPU.
    """
    found: list[Recovered] = yield from until_done(events)
    recoveries = []
    for one in found:
        task, card = one.task, recipe.zoo.card(one.task.teacher_id)
        white = one.oracle if isinstance(one.oracle, AutogradOracle) else None
        teacher = None if white is None else white.teacher
        bare = None if white is None else round(reference_seconds(white, task.labels, one.steps), 3)
        asked = recipe.asking.model_dump(mode="json", exclude={"oracle"})
        judge = recipe.zoo.judge(card.id)
        said = answered(task, teacher, judge)
        quality = measure(task, teacher, judge, said)
        report = {
            "zoo": recipe.zoo.name,
            "teacher": card.id,
            "classes": card.classes,
            "method": recipe.inverter.name,
            **quality,
            "seconds": round(task.cost["seconds"], 3),
            "reference_seconds": bare,
            "images": len(task.labels),
            "steps": one.steps,
            "passes": task.cost["passes"],
            "queries": int(task.cost["queries"]),
            "together": one.together,
            "per_class": recipe.per_class,
            "seed": recipe.seed,
            "device": str(recipe.device),
            "device_name": device_name(recipe.device),
            "peak_memory_mib": round(peak_memory_mib(recipe.device), 1),
            "oracle": {"kind": "autograd"} if teacher is not None else {"kind": "zeroth-order", **asked},
            "warm_up": None if recipe.warmed is None else asdict(recipe.warmed),
            "cost": task.cost,
            "config": json.loads(recipe.inverter.config.model_dump_json()),
        }
        final = {f"inversion/{name}": value for name, value in quality.items() if value is not None}
        spent = {"inversion/seconds": task.cost["seconds"], "queries": float(report["queries"])}
        yield Scalars(one.steps, {**final, **spent})
        recoveries.append(Recovery(task.to(torch.device("cpu")), report, each_picture(said, task.labels)))
    yield Done(recoveries)


def invert_teachers(recipe: Recipe, teachers: Sequence[str | int]) -> Iterator[Event]:
    """Recover the tasks of teachers (ids or positions) in step, and measure them; see ``reported``."""
    return reported(recipe, recover_teachers(recipe, teachers))


def reference_seconds(oracle: AutogradOracle, labels: torch.Tensor, steps: int) -> float:
    """Seconds of ``steps`` bare passes, forward and backward to the pixels, of the same batch.

    Timed over at most 20 passes (after two to warm up) and scaled; the oracle's counters are left alone.
    """
    device = labels.device
    x = torch.rand(len(labels), *oracle.picture_shape, device=device)
    timed = min(REFERENCE_STEPS, steps)

    def bare_pass() -> None:
        pixels = x.clone().requires_grad_(True)
        torch.autograd.grad(cross_entropy(oracle.teacher.logits(pixels), labels).mean(), pixels)

    for _ in range(2):
        bare_pass()
    started = seconds_now(device)
    for _ in range(timed):
        bare_pass()
    return (seconds_now(device) - started) / timed * steps
