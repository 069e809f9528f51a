"""Shadow teachers: networks of the same classes that saw only a random half of each class's images.

They say how hard an image is for a network that never saw it, which a membership test sets against the teacher's own
loss (Watson et al., ICLR 2022; Carlini et al., S&P 2022). They come in pairs, which divide the images between them: so
each image has as many shadows that did not see it as there are pairs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock

from dfml.cluster.fan_out import in_processes
from dfml.core.paths import cache_root
from dfml.core.seeds import derive_seed
from dfml.data.folders import ClassSplit
from dfml.zoo.build.pretrain import TeacherPlan, train_one
from dfml.zoo.build.zoo_config import PretrainConfig
from dfml.zoo.listing import DETAILS
from dfml.zoo.teacher import Teacher, load_teacher

HALF = 0.5


@dataclass(frozen=True)
class Shadow:
    """A shadow teacher, and the positions in the data set that it was trained on [n], ascending."""

    teacher: Teacher
    trained: np.ndarray


@dataclass(frozen=True)
class ShadowPlan:
    """Which shadows: ``classes`` are positions among the data set's, in the order of the shadows' outputs.

    ``architecture`` is ``NAME`` or ``NAME:WIDTH``; ``config`` says how they are trained, but for what is held out;
    ``mean`` and ``std`` of each channel normalise their input.
    """

    architecture: str
    classes: tuple[int, ...]
    config: PretrainConfig
    mean: list[float]
    std: list[float]

    def folder(self, data: ClassSplit) -> Path:
        """Where they are kept: below ``cache_root()``, by all that they follow from."""
        how = self.settled().model_dump(mode="json")
        facts = [data.content, self.architecture, self.classes, how, self.mean, self.std]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cache_root() / "shadows" / digest[:24]

    def settled(self) -> PretrainConfig:
        """How they are trained: half of the images are held out, and choose the epoch."""
        settled = {"models": 1, "way": len(self.classes), "held_out": HALF, "same_start": False}
        return self.config.model_copy(update=settled)

    def parts(self, data: ClassSplit, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each class the positions of the images that train shadow ``number``, and of as many that do not.

        Where a class has an odd number, one image is left out, so that a pair shares none.
        """
        rng = np.random.default_rng(derive_seed(self.config.seed, "shadow pair", number // 2))
        found = []
        for c in self.classes:
            first, second = np.split(rng.permutation(data.members[c])[: len(data.members[c]) // 2 * 2], 2)
            found.append((second, first) if number % 2 else (first, second))
        return found


def train_shadows(data: ClassSplit, plan: ShadowPlan, count: int, *, jobs: int = 1) -> Iterator[int]:
    """Train what is missing of the first ``count`` shadows; a training that was cut off goes on.

    Yields how many are there, at first, after each, and in between where ``jobs`` processes train them. One that
    another process trains at this time is waited for.
    """
    out = plan.folder(data)
    missing = [n for n in range(count) if not (out / f"{n:03d}" / DETAILS).is_file()]
    done = count - len(missing)
    yield done
    work = partial(_train_shadow, data, plan, out)
    for found in in_processes(work, missing, jobs=jobs, what="trained shadow teachers"):
        done += found is not None
        yield done


def _train_shadow(data: ClassSplit, plan: ShadowPlan, out: Path, number: int) -> int:
    both = [np.concatenate(part) for part in plan.parts(data, number)]
    images, labels = data.images[np.concatenate(both)], np.repeat(np.arange(len(both)), [len(part) for part in both])
    names, content = [data.class_names[c] for c in plan.classes], f"{data.content} {number}"
    teacher = TeacherPlan(
        f"{number:03d}", plan.architecture, list(range(len(both))), derive_seed(plan.config.seed, "shadow", number)
    )
    own = ClassSplit(data.name, data.split, images, labels, names, content=content)
    out.mkdir(parents=True, exist_ok=True)
    # Two programs would write the same checkpoints: the second waits, and then finds it done.
    with FileLock(out / f".{number:03d}.lock"):
        if not (out / teacher.id / DETAILS).is_file():
            train_one(own, plan.settled(), (plan.mean, plan.std), "", out, teacher)
    return number


def load_shadows(data: ClassSplit, plan: ShadowPlan, count: int) -> Iterator[Shadow]:
    """Load the first ``count`` shadows, which were trained, one after the other."""
    for number in range(count):
        trained = np.concatenate([part[0] for part in plan.parts(data, number)])
        yield Shadow(load_teacher(plan.folder(data) / f"{number:03d}"), np.sort(trained))
