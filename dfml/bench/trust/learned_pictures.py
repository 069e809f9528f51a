"""Do a meta-model's answers tell which images its teachers were trained on? The membership tests of a meta-model.

It has classes only after adapting, so its teachers' classes are divided into tasks of its way. In each task it adapts
to the same share of the training images and of the held-out ones, which are then set aside; the others are scored, each
by itself (inductive). With a larger share of one part, its other images would be the nearer ones where parts differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Progress
from dfml.core.names import find_name
from dfml.core.seeds import derive_seed
from dfml.data.episodes import Episode
from dfml.data.folders import ClassSplit, load_split
from dfml.data.splits import split_class
from dfml.meta.adaptation import adapted_task
from dfml.meta.model import MetaModel
from dfml.reports.membership import CONFIDENCE, LOSS, compared, loss_and_confidence, plan_of, shadow_tests
from dfml.reports.privacy import recorded_share
from dfml.zoo.build.shadows import Shadow, ShadowPlan, load_shadows, train_shadows
from dfml.zoo.listing import TeacherCard
from dfml.zoo.zoo import Zoo

SUPPORT = 20
"""Images of a class that a task adapts to; fewer where they would take more than half of the held-out ones."""
CHUNK = 256


@dataclass(frozen=True)
class Scored:
    """The images of one task: positions in the data set.

    ``support`` and ``asked`` are lists of one array a class; ``trained`` bool [N] is of all that are ``asked``.
    """

    classes: list[int]
    support: list[np.ndarray]
    asked: list[np.ndarray]
    trained: np.ndarray


def learned_from(zoo: Zoo, details: Mapping[str, Any]) -> list[TeacherCard]:
    """The teachers of a zoo from which a model learned, by its card; all where it names none that was left out."""
    told = details.get("taking_part")
    rows = told.get("left_out", []) if isinstance(told, dict) else []
    out = {i for row in rows if isinstance(row, dict) for i in row.get("ids", [])}
    return [card for card in zoo.cards if card.id not in out]


def scored_tasks(zoo: Zoo, cards: list[TeacherCard], data: ClassSplit, way: int, seed: int) -> list[Scored]:
    """Divide the classes that teachers know into tasks of ``way``; those that are too few for a last one are left out.

    An image trained if it trained any teacher. ``BadInput``: teachers do not record what they were trained on, or the
    data set lacks their classes, or has too few held-out images.
    """
    shares: dict[int, float] = {}
    for card in cards:
        share = recorded_share(zoo, card)
        for name in card.classes or ():
            if (place := find_name(name, data.class_names)) is None:
                raise BadInput(f"{data.name}/train lacks class {name!r} of teacher {card.id!r}.")
            shares[place] = min(share, shares.get(place, 1.0))
    if len(shares) < way:
        raise BadInput(f"the teachers name {len(shares)} classes; tasks need {way}.")
    rng, found = np.random.default_rng(derive_seed(seed, "membership")), []
    order = rng.permutation(sorted(shares)).tolist()
    for start in range(0, len(order) - way + 1, way):
        classes, support, asked, trained = order[start : start + way], [], [], []
        for c in classes:
            own, held = split_class(data.members[c], shares[c])
            own, held = rng.permutation(own), rng.permutation(held)
            few = min(max(1, round(SUPPORT * len(held) / (len(own) + len(held)))), len(held) // 2)
            more = max(1, round(few * len(own) / max(1, len(held))))
            if not (few and more < len(own)):
                raise BadInput(f"class {data.class_names[c]!r} has {len(held)} held-out images; a test needs 2.")
            support.append(np.concatenate([own[:more], held[:few]]))
            asked.append(np.concatenate([own[more:], held[few:]]))
            trained.append(np.arange(len(asked[-1])) < len(own) - more)
        found.append(Scored(classes, support, asked, np.concatenate(trained)))
    return found


def model_membership(
    model: MetaModel, zoo: Zoo, source: str | Path, *, shadows: int = 0, seed: int = 0, jobs: int = 1
) -> Iterator[Event]:
    """Test a meta-model on the real images of its teachers' classes.

    Args:
        model: Its card names the teachers that were left out; the others count as those it learned from.
        zoo: From which it learned.
        source: The class-folder data set whose ``train`` split its teachers were trained on.
        shadows: An even number of classifiers of all these classes, for the calibrated test: of the meta-model's
            architecture, trained once, for about as many steps as the first teacher was. They are asked about the
            task's classes alone. Unlike a teacher's shadows they are no models of the same kind.
        seed: Divides the classes, and chooses the images to adapt to.
        jobs: Processes that train shadows.

    Yields:
        Progress, and last ``Done(list[MembershipTest])``.

    Raises:
        BadInput: An ensemble of teachers; or see ``scored_tasks``.
    """
    model.require_one_network("membership tests of ensembles are those of their teachers")
    channels, size, _ = model.input_size
    data, cards = load_split(source, "train", size=size, channels=channels), learned_from(zoo, model.details)
    tasks = scored_tasks(zoo, cards, data, model.way, seed)
    losses, confidences = [], []
    for number, task in enumerate(tasks):
        yield Progress(number, len(tasks), "tasks")
        loss, confidence = _asked(model, data, task)
        losses.append(loss)
        confidences.append(confidence)
    loss, positions = np.concatenate(losses), np.concatenate([p for task in tasks for p in task.asked])
    trained = np.concatenate([task.trained for task in tasks])
    tests = compared({LOSS: -loss, CONFIDENCE: np.concatenate(confidences)}, trained)
    if shadows:
        known, width = plan_of(zoo, cards[0], data), model.model_args.get("width")
        name = f"{model.architecture}:{width}" if width else model.architecture
        classes = tuple(sorted(c for task in tasks for c in task.classes))
        epochs = math.ceil(known.config.epochs * len(known.classes) / len(classes))
        config = known.config.model_copy(update={"epochs": epochs})
        plan = ShadowPlan(name, classes, config, model.mean, model.std)
        for done in train_shadows(data, plan, shadows, jobs=jobs):
            yield Progress(done, shadows, "shadows")

        def asked(shadow: Shadow) -> np.ndarray:
            return np.concatenate([_shadow_losses(shadow, plan, data, task) for task in tasks])

        tests += shadow_tests(load_shadows(data, plan, shadows), asked, positions, loss, trained)
    yield Done(tests)


def _labels(parts: list[np.ndarray]) -> torch.Tensor:
    return torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))


def _asked(model: MetaModel, data: ClassSplit, task: Scored) -> tuple[np.ndarray, np.ndarray]:
    support, nothing = data.pictures(np.concatenate(task.support)), torch.empty(0, dtype=torch.int64)
    episode = Episode(model.prepare(support), _labels(task.support), nothing, nothing)
    adapted, asked = adapted_task(model, episode, None, answers=True), np.concatenate(task.asked)
    parts = [data.pictures(asked[start : start + CHUNK]) for start in range(0, len(asked), CHUNK)]
    logits = torch.cat([adapted.logits(model.prepare(part), "inductive") for part in parts])
    return loss_and_confidence(logits, _labels(task.asked))


@torch.no_grad()
def _shadow_losses(shadow: Shadow, plan: ShadowPlan, data: ClassSplit, task: Scored) -> np.ndarray:
    asked, slots = np.concatenate(task.asked), [plan.classes.index(c) for c in task.classes]
    parts = [data.pictures(asked[start : start + CHUNK]) for start in range(0, len(asked), CHUNK)]
    logits = torch.cat([shadow.teacher.logits(part)[:, slots] for part in parts])
    return loss_and_confidence(logits, _labels(task.asked))[0]
