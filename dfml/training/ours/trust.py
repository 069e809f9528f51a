"""What a teacher is worth: by its reported accuracy, as a start, or by its features on new classes, as a reward."""

from collections.abc import Callable, Generator, Iterator
from random import Random

import torch

from dfml.core.errors import BadInput
from dfml.core.events import Event, Note
from dfml.meta.fusion import fits, load_backbone
from dfml.meta.learners import class_means, squared_distances
from dfml.meta.model import MetaModel
from dfml.nets.any_network import state_for
from dfml.tasks.cache import Recoveries
from dfml.training.taking_part import read_teacher
from dfml.training.validation import Watch
from dfml.zoo.listing import TeacherCard
from dfml.zoo.oracles.base import AutogradOracle
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo

JUDGING_SEED = 3
JUDGING_EPISODES = 12
"""How many further validation episodes there are on which a network's features are judged, once for all."""


def by_report(zoo: Zoo) -> list[TeacherCard]:
    """Cards of the teachers that report an accuracy, the best first."""
    return sorted((c for c in zoo.cards if c.accuracy is not None), key=lambda c: c.accuracy or 0.0, reverse=True)


def best_reported(zoo: Zoo, model: MetaModel | None = None) -> Generator[Event, None, Teacher | None]:
    """The teacher with the best reported accuracy that can be loaded, with notes on better ones that cannot.

    With a model, teachers that are no network of its shape are passed over. None where there is no such teacher.
    """
    for card in by_report(zoo):
        if model is not None and card.architecture != model.architecture:
            continue
        teacher = yield from read_teacher(zoo, card)
        if teacher and (model is None or fits(teacher.net, model.net)):
            return teacher
    return None


def load_teacher_weights(model: MetaModel, teacher: Teacher, *, head: bool, who: str) -> None:
    """Start a meta-model from a teacher: its weights, without the head or with it, and its normalisation.

    Raises:
        BadInput: Another architecture.
    """
    card = teacher.card
    if not fits(teacher.net, model.net):
        args = model.model_args
        raise BadInput(
            f"{who}: teacher {card.id} is a {card.architecture} with input {list(card.input_size)}; "
            f"set architecture and width to match (now {model.architecture}, width {args.get('width', 'its own')})."
        )
    load_backbone(model.net, state_for(teacher.net, model.net), head=head)
    model.mean, model.std = list(card.mean), list(card.std)


def start_from_best(zoo: Zoo, model: MetaModel) -> Iterator[Event]:
    """Give a meta-model the weights of the best reported teacher of its architecture; a note says if there is none."""
    teacher = yield from best_reported(zoo, model)
    if teacher is None:
        text = f"no teacher that gives its weights and reports an accuracy is a {model.architecture} of its shape"
        yield Note(0, f"starts from fresh weights: {text}", kind="teacher")
        return
    assert teacher.card.accuracy is not None
    load_teacher_weights(model, teacher, head=False, who=model.details["method"])
    model.details["init"] = f"teacher {teacher.card.id}"
    yield Note(0, f"starts from teacher {teacher.card.id}, reported accuracy {teacher.card.accuracy:.1%}", "teacher")
    if better := sum((card.accuracy or 0.0) > teacher.card.accuracy for card in zoo.cards):
        why = f"which cannot be loaded or are no {model.architecture} like it"
        yield Note(0, f"passed over {better} with better reports, {why}", kind="teacher")


def start_from_any(zoo: Zoo, model: MetaModel, seed: int) -> Iterator[Event]:
    """Give a meta-model the weights of a teacher of its architecture that a seed draws, whatever anybody reports."""
    cards = [card for card in zoo.cards if card.architecture == model.architecture]
    for card in Random(seed).sample(cards, len(cards)):
        teacher = yield from read_teacher(zoo, card)
        if teacher and fits(teacher.net, model.net):
            load_teacher_weights(model, teacher, head=False, who=model.details["method"])
            model.details["drawn_init"] = f"teacher {card.id}"
            yield Note(0, f"starts from teacher {card.id}, drawn by the seed", kind="teacher")
            return
    text = f"no teacher that gives its weights is a {model.architecture} of its shape"
    yield Note(0, f"starts from fresh weights: {text}", kind="teacher")


class FeatureRewards:
    """Judges teachers on validation episodes that nothing else looks at; the recoveries' oracles count the images."""

    def __init__(self, watch: Watch, recoveries: Recoveries) -> None:
        self.recoveries, self.judging = recoveries, watch.sample(JUDGING_EPISODES, JUDGING_SEED)
        self._judged: dict[str, float] = {}

    def worth(self, teacher: str) -> float:
        """Accuracy of a teacher's features on new classes; of its answers, where it does not grant more."""
        oracle = self.recoveries.oracle((teacher, 0))
        if isinstance(oracle, AutogradOracle) and oracle.teacher.card.access == "weights":
            return self.centroid_accuracy(teacher, oracle.teacher.features)
        return self.centroid_accuracy(teacher, lambda images: self.recoveries.ask(teacher, images))

    @torch.no_grad()
    def centroid_accuracy(self, name: str, features: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """Accuracy in [0, 1] of the nearest class centroid on the episodes' new classes; a network is judged once.

        ``features`` maps images [N, C, H, W] in [0, 1] to vectors [N, D].
        """
        if name not in self._judged:
            hits = []
            for e in self.judging:
                vectors = features(torch.cat([e.support_x, e.query_x]))
                support, query = vectors[: len(e.support_x)], vectors[len(e.support_x) :]
                nearest = squared_distances(query, class_means(support, e.support_y)).argmin(1)
                hits.append(float((nearest == e.query_y).float().mean()))
            self._judged[name] = sum(hits) / len(hits)
        return self._judged[name]
