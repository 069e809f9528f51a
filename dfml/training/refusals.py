"""What options and a zoo's cards tell against a training: said before it waits in a line, or torch is loaded."""

from __future__ import annotations

from collections.abc import Iterable

from dfml.core.errors import BadInput
from dfml.training.options import AdaptConfig, RecoveringConfig
from dfml.zoo.listing import TeacherCard
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.zoo import Zoo, answers_only_queries


def need_way(zoo: Zoo, config: AdaptConfig) -> list[TeacherCard]:
    """Return the cards whose heads are as wide as the meta-model's; ``BadInput`` where there is none."""
    fitting = [card for card in zoo.cards if card.way == config.way]
    if not fitting:
        ways = sorted({card.way for card in zoo.cards})
        raise BadInput(f"zoo {zoo.name!r} has teachers of {ways} classes, none of {config.way}: set way.")
    return fitting


def need_classes(zoo: Zoo, way: int, method: str) -> None:
    """Refuse a zoo with fewer classes than an episode has."""
    known = {key for keys in zoo.class_keys().values() for key in keys}
    if len(known) < way:
        raise BadInput(
            f"{method} draws {way}-way episodes of the classes, but zoo {zoo.name!r} has {len(known)}: set way."
        )


def need_gradients(zoo: Zoo, cards: Iterable[TeacherCard]) -> None:
    """Refuse teachers that only answer queries."""
    for card in cards:
        answers_only_queries(zoo, card.id, AskingConfig(oracle="autograd"))


def need_consensus(zoo: Zoo, config: RecoveringConfig, *, asking: bool = False) -> None:
    """Refuse a consensus of fresh recoveries, or of teachers that give no gradients or are not to (``asking``)."""
    if not config.consensus:
        return
    if config.recovered != "kept" or asking:
        raise BadInput("consensus revises kept recoveries of white boxes: set recovered=kept, or consensus=0.")
    for card in zoo.cards:
        if answers_only_queries(zoo, card.id, AskingConfig()):
            who = f"{card.id!r} of {zoo.name} only answers queries"
            raise BadInput(f"consensus takes gradients through all teachers, and {who}: set consensus=0.")


def need_images(config: RecoveringConfig) -> None:
    """Refuse recoveries with fewer images of a class than a task takes."""
    if config.recovered_per_class < config.shot + config.query:
        raise BadInput(
            f"a task takes {config.shot} + {config.query} images per class, a recovery has "
            f"{config.recovered_per_class}: raise recovered_per_class, or lower query."
        )


def need_weights(zoo: Zoo) -> list[TeacherCard]:
    """Return the cards that grant weights; ``BadInput`` where there is none."""
    granted = [card for card in zoo.cards if card.access == "weights"]
    if not granted:
        raise BadInput(f"no teacher of zoo {zoo.name!r} gives its weights.")
    return granted


def need_two(count: int, zoo: Zoo, method: str) -> None:
    """Refuse a zoo of fewer teachers than one to learn from and one to validate."""
    if count < 2:
        only = "only one" if count else "none"
        raise BadInput(f"{method} needs teachers to learn from and to validate; zoo {zoo.name!r} gives {only}.")


def need_one_network(zoo: Zoo, config: AdaptConfig, method: str, *, head: bool, least: int = 1) -> None:
    """Refuse weights that are not all of the meta-model's architecture and, with ``head``, of its ``way``.

    Raises:
        BadInput: A teacher that can be read has another one, or fewer than ``least`` (1 or 2) grant their weights.
    """
    granted = need_weights(zoo)
    if least > 1:
        need_two(len(granted), zoo, method)
    for card in granted:
        alike = card.architecture == config.architecture and card.width in (None, config.width)
        if alike and not (head and card.way != config.way):
            continue
        try:
            zoo.look_at(card.id)
        except BadInput:
            continue  # it will be left out
        if not alike:
            theirs, ours = f"{card.architecture} of width {card.width or 'its own'}", config.architecture
            raise BadInput(
                f"{method}: teacher {card.id} differs from the meta-model ({theirs}, and {ours} of width "
                f"{config.width}); fusing weights needs one architecture: set architecture and width to the teachers', "
                "or take a zoo of one architecture."
            )
        raise BadInput(
            f"{method}: teacher {card.id} has a last layer of another shape than the meta-model ({card.way} outputs, "
            f"and {config.way}): set way to its, or head=fresh."
        )
