"""Which teachers can be fused: the largest group of one architecture and shape, told by cards and headers alone."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput
from dfml.core.events import Event, Note, Progress
from dfml.core.model_config import read_config, tensor_shapes
from dfml.training.options import AdaptConfig
from dfml.training.refusals import need_two, need_weights
from dfml.training.taking_part import TakingPart, read_each
from dfml.zoo.listing import WEIGHTS, TeacherCard
from dfml.zoo.zoo import Narrowing, Zoo

if TYPE_CHECKING:
    from torch import nn

    from dfml.meta.model import MetaModel
    from dfml.zoo.teacher import Teacher

LEAST = 2
"""Networks of a group, unless the zoo has only one."""
LARGEST = "largest"
"""As an architecture: that of which the zoo has the most teachers alike."""
FREE_ARGS = ("num_classes", "in_chans", "img_size")
HEADS = ("fc.", "head.", "head.fc.", "classifier.")


def alike(zoo: Zoo, card: TeacherCard, *, head: bool = False) -> Hashable:
    """What two teachers must share to be fused, with ``head`` the last layer too; ``BadInput``: it cannot be read."""
    folder = zoo.folder / card.id
    zoo.look_at(card.id)
    config = read_config(folder)
    last = f"{config['pretrained_cfg'].get('classifier') or 'fc'}."
    lasts = {last, *HEADS}
    shapes = {
        (name, tuple(shape))
        for name, shape in tensor_shapes(folder / WEIGHTS, f"model {card.id!r}").items()
        if head or not any(name in (f"{each}weight", f"{each}bias") for each in lasts)
    }
    args = {name: repr(value) for name, value in config["model_args"].items() if name not in FREE_ARGS}
    return card.architecture, card.input_size[0], frozenset(args.items()), frozenset(shapes)


def fused(zoo: Zoo, config: Any, method: str, *, head: bool = False, least: int = 1) -> tuple[Zoo, Any]:  # noqa: ANN401 - an AdaptConfig
    """The zoo with the teachers alone that are fused, and the config with their architecture and width.

    They are the largest group of networks that are alike and of ``config.architecture`` (and width, of few-shot
    networks), or of any with ``LARGEST``; in a zoo of a server none are. The others are named as left out.

    Raises:
        BadInput: There are fewer than two of them in a zoo that has more, with what there is instead; or fewer than
            ``least`` (1 or 2) teachers at all.
    """
    assert isinstance(config, AdaptConfig)
    granted = need_weights(zoo)
    if least > 1:
        need_two(len(granted), zoo, method)
    groups: dict[Hashable, list[TeacherCard]] = {}
    for card in granted:
        try:
            groups.setdefault(alike(zoo, card, head=head), []).append(card)
        except BadInput:
            continue  # whoever reads it names it
    fitting = [cards for cards in groups.values() if _wanted(cards[0], config, head=head)]
    if not groups:
        return zoo, config
    chosen = max(fitting, key=len, default=[])
    if len(chosen) < min(LEAST, sum(map(len, groups.values()))):
        there = ", ".join(f"{cards[0].family} with {cards[0].way} outputs ({len(cards)})" for cards in groups.values())
        count, outputs = "only one" if chosen else "no", f" with {config.way} outputs" if head else ""
        raise BadInput(
            f"{method}: {count} teacher of zoo {zoo.name!r} is a {config.architecture} of width {config.width}"
            f"{outputs}, there are {there}: set architecture (and width) to theirs, or architecture={LARGEST}"
            f"{'; way to its, or head=fresh' if head else ''}."
        )
    ids, first = {card.id for card in chosen}, chosen[0]
    others = {card.id for cards in groups.values() for card in cards} - ids
    found = config.override({"architecture": first.architecture, "width": first.width or config.width})
    if not others:
        return zoo, found
    reason = f"not one of the {len(ids)} networks alike ({first.family}) that are fused"
    return zoo.narrowed(Narrowing({}, dict.fromkeys(sorted(others), reason))), found


def said_of_inputs(cards: Sequence[TeacherCard]) -> Iterator[Note]:
    """A note where the networks that are fused were trained with images that were normalised in several ways."""
    ways = {(tuple(card.mean), tuple(card.std)) for card in cards}
    if len(ways) > 1:
        yield Note(0, f"these teachers normalise images in {len(ways)} ways: the model takes that of most", "teacher")


def read_average(zoo: Zoo, model: MetaModel, *, head: bool) -> Generator[Event, None, TakingPart]:
    """Put the mean of all teachers' weights into a meta-model, each teacher read and dropped; say who takes part.

    Raises:
        BadInput: There is none, or one is no network like the meta-model.
    """
    from dfml.meta.fusion import MeanState, load_mean, to_average

    mean, cards = MeanState(), list[TeacherCard]()

    def take(teacher: Teacher) -> None:
        mean.add(to_average(teacher.net, model, len(cards), head=head))
        cards.append(teacher.card)

    taking_part = yield from read_each(zoo, take)
    yield from said_of_inputs(cards)
    load_mean(model, mean.close(), head=head)
    return taking_part


def in_one_order(
    teachers: list[Teacher], reference: int, model: MetaModel, method: str
) -> Generator[Event, None, list[nn.Module]]:
    """Copies of the teachers' networks, each with its units in the order of the one at position ``reference``.

    Raises:
        BadInput: A teacher of another architecture or width than the meta-model's.
    """
    from dfml.meta.alignment import align_network, network_layers
    from dfml.meta.fusion import fits

    for teacher in teachers:
        if not fits(teacher.net, model.net):
            raise BadInput(
                f"{method} needs teachers of the meta-model's architecture: teacher {teacher.card.id} differs from "
                f"{model.architecture} with {model.model_args}."
            )
    aligned = []
    if not network_layers(model.net):
        yield Note(0, f"the units of {model.architecture} stay in place: nothing is known of who reads them", "teacher")
    for position, teacher in enumerate(teachers):
        yield Progress(position, len(teachers), f"aligning teacher {teacher.card.id}")
        aligned.append(align_network(teacher.net, teachers[reference].net))
    return aligned


def network_args(zoo: Zoo, architecture: str, like: TeacherCard | None = None) -> dict[str, Any]:
    """Arguments that a teacher of one of timm's architectures was built with, by default the first; its shape apart.

    Few-shot networks are told their width by the options.
    """
    if architecture.startswith("fewshot_"):
        return {}
    for card in [like] if like else zoo.cards:
        if card.architecture == architecture and not zoo.address:
            args = read_config(zoo.folder / card.id)["model_args"]
            return {name: value for name, value in args.items() if name not in FREE_ARGS}
    return {}


def _wanted(card: TeacherCard, config: AdaptConfig, *, head: bool) -> bool:
    if head and card.way != config.way:
        return False
    if config.architecture == LARGEST:
        return True
    own = not card.architecture.startswith("fewshot_") or card.width in (None, config.width)
    return card.architecture == config.architecture and own
