"""A start from the teacher with the best reported accuracy, which trusts the reports."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from dfml.core.errors import BadInput
from dfml.core.events import Event, Note
from dfml.meta.fusion import fits, load_backbone
from dfml.meta.model import MetaModel
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo


def best_reported(zoo: Zoo, model: MetaModel | None = None) -> Generator[Event, None, Teacher | None]:
    """The teacher with the best reported accuracy that can be loaded, with notes on better ones that cannot.

    Args:
        zoo: The zoo.
        model: Pass over teachers that are no network of its shape.

    Returns:
        The teacher, or None where no report is of such a teacher.
    """
    reported = [card for card in zoo.cards if card.accuracy is not None]
    for card in sorted(reported, key=lambda card: card.accuracy or 0.0, reverse=True):
        if model is not None and card.architecture != model.architecture:
            continue
        try:
            teacher = zoo.weights_of(card.id)
        except BadInput as error:
            yield Note(0, f"left out teacher {card.id}: {error}", kind="rejected")
            continue
        if model is None or fits(teacher.net, model.net):
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
    load_backbone(model.net, teacher.net.state_dict(), head=head)
    model.mean, model.std = list(card.mean), list(card.std)


def start_from_best(zoo: Zoo, model: MetaModel) -> Iterator[Event]:
    """Give a meta-model the weights of the best reported teacher of its architecture.

    Where there is none, its weights stay fresh, and a note says so.
    """
    teacher = yield from best_reported(zoo, model)
    if teacher is None:
        text = f"no teacher that gives its weights and reports an accuracy is a {model.architecture} of its shape"
        yield Note(0, f"starts from fresh weights: {text}", kind="teacher")
        return
    load_teacher_weights(model, teacher, head=False, who=model.details["method"])
    model.details["init"] = f"teacher {teacher.card.id}"
    text = f"starts from teacher {teacher.card.id}, reported accuracy {teacher.card.accuracy:.1%}"
    yield Note(0, text, kind="teacher")
    if better := sum((card.accuracy or 0.0) > teacher.card.accuracy for card in zoo.cards):
        text = (
            f"passed over {better} with better reports, which cannot be loaded or are no {model.architecture} like it"
        )
        yield Note(0, text, kind="teacher")
