"""What options and a zoo's cards tell against a training: said before it waits in a line, or torch is loaded."""

from __future__ import annotations

from dfml.core.errors import BadInput
from dfml.tasks.grouping import need_probe
from dfml.training.options import AdaptConfig, GroupingConfig, MetaTrainingConfig, RecoveringConfig
from dfml.training.used_classes import as_used
from dfml.zoo.listing import TeacherCard
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.zoo import Zoo, answers_only_queries


def need_classes(zoo: Zoo, config: AdaptConfig, method: str) -> None:
    """Refuse a zoo of which fewer classes are used than an episode has."""
    zoo, way = as_used(zoo, config, 0), config.way
    known = {key for keys in zoo.class_keys().values() for key in keys}
    if len(known) < way:
        raise BadInput(
            f"{method} draws {way}-way episodes of the classes, but zoo {zoo.name!r} has {len(known)}: set way."
        )


def need_gradients(zoo: Zoo) -> None:
    """Refuse a zoo of which all teachers only answer queries."""
    if all(card.access == "queries" for card in zoo.cards):
        answers_only_queries(zoo, zoo.cards[0].id, AskingConfig(oracle="autograd"))


LARGEST_SET = 4 * 2**30
"""Bytes that PURER's set may take: its images, their gradients, and Adam's two moments."""


def need_room(zoo: Zoo, config: MetaTrainingConfig) -> None:
    """Refuse images of so many classes that are learned all at once."""
    zoo = as_used(zoo, config, 0)
    count, (channels, height, width) = len({k for keys in zoo.class_keys().values() for k in keys}), zoo.picture_shape
    per_class = config.shot + config.query
    needed = 4 * 4 * count * per_class * channels * height * width
    if needed > LARGEST_SET:
        raise BadInput(
            f"{per_class} images of {width} px for each of {count:,} classes take {needed / 2**30:.1f} GiB with what "
            f"learns them, at most {LARGEST_SET / 2**30:.0f} are taken: set classes_per_teacher or images_size."
        )


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


def need_groups(config: GroupingConfig) -> None:
    """Refuse groups by a probe that is not there, or by more recoveries of a teacher than there are."""
    if config.group_by == "random":
        return
    if config.embed_visits > config.visits:
        raise BadInput(f"embed_visits {config.embed_visits} is more than the {config.visits} visits of a teacher.")
    need_probe(config.probe)


def need_images(config: RecoveringConfig) -> None:
    """Refuse recoveries with fewer images of a class than a task takes."""
    if config.recovered_per_class < config.shot + config.query:
        raise BadInput(
            f"a task takes {config.shot} + {config.query} images per class, a recovery has "
            f"{config.recovered_per_class}: raise recovered_per_class, or lower query."
        )


def need_queries(config: RecoveringConfig) -> None:
    """Refuse recoveries that leave nothing beside the support images."""
    if config.recovered_per_class <= config.shot:
        raise BadInput(f"recovered_per_class must exceed the {config.shot} support images of a class (shot).")


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
