"""Who of a zoo takes part in a run, and who does not, and why: decided, told and kept in one place."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Event, Note, Progress
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    from dfml.zoo.teacher import Teacher, TeacherCard

ALL, SOME = "taking-part", "left-out"
"""Kinds of the note that tells it: nobody is left out, or somebody is."""

UNUSABLE = "cannot be used"
NAMED, LONGEST = 5, 40
"""Ids that a note names for each reason, and letters of an id."""


@dataclass(frozen=True)
class TakingPart:
    """The ids of a run's teachers, in the zoo's order, and the reason for each of the others by its id.

    ``partly`` says of some how many of their classes are used; ``blind`` are those without batch normalisation.
    """

    ids: list[str]
    left_out: Mapping[str, str]
    partly: Mapping[str, str] = field(default_factory=dict)
    blind: Sequence[str] = ()

    def first(self, count: int, option: str) -> TakingPart:
        """The same with no more than ``count`` teachers, as an option asks."""
        reason = f"not among the first {count}, as {option} says"
        return replace(
            self, ids=self.ids[:count], left_out={**self.left_out, **dict.fromkeys(self.ids[count:], reason)}
        )

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Ids of those that are left out, by reason."""
        found: dict[str, list[str]] = {}
        for teacher, reason in self.left_out.items():
            found.setdefault(reason, []).append(teacher)
        return found

    def details(self) -> dict[str, Any]:
        """For the model's card, from where it gets into the run's result."""
        rows = [{"reason": reason, "ids": ids} for reason, ids in self.reasons.items()]
        count = len(self.ids)
        told = {"taking_part": count, "of": count + len(self.left_out), "left_out": rows}
        return {"taking_part": {**told, "partly": dict(self.partly)} if self.partly else told}

    def note(self, step: int = 0) -> Note:
        """How many take part, who does not, and why, in one line."""
        count, of = len(self.ids), len(self.ids) + len(self.left_out)
        some = {how: [t for t in self.partly if self.partly[t] == how] for how in self.partly.values()}
        partly = f"; with some of their classes: {_listed(some)}" if some else ""
        if not self.left_out:
            return Note(step, f"all {of} teachers of the zoo take part{partly}", kind=ALL)
        text = f"{count} of {of} teachers of the zoo take part; left out: {_listed(self.reasons)}{partly}"
        return Note(step, text, kind=SOME)

    def events(self, zoo: Zoo) -> Iterator[Event]:
        """The note, and before it one for each teacher that cannot be used, with what is wrong with it."""
        yield from rejected(zoo)
        yield self.note()

    def losses(self, config: Config) -> Iterator[Event]:
        """A note that names whose images lack the BN term, where that was asked for."""
        if self.blind and getattr(config, "bn", 0):
            text = "no batch-normalisation statistics to be compared with, so that the BN term is left out for"
            yield Note(0, f"{text} {_named(self.blind)}: their images follow from their answers alone", kind="terms")


def _listed(groups: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{_named(ids)} ({reason})" for reason, ids in groups.items())


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(" ".join(teacher.split())[:LONGEST] for teacher in ids[:NAMED])
    return f"{shown} and {len(ids) - NAMED} more" if len(ids) > NAMED else shown


def rejected(zoo: Zoo) -> Iterator[Event]:
    """A note for each teacher whose card or weights cannot be used, with the reason."""
    for teacher_id, reason in zoo.problems.items():
        if teacher_id not in zoo.ids:  # else it is tried, and named then
            yield Note(0, f"left out teacher {teacher_id}: {reason}", kind="rejected")


def everyone(zoo: Zoo) -> TakingPart:
    """All teachers that can be used: those that can be loaded now, one after another."""
    # A server's were tried when it was opened; who only answers shows no statistics.
    tried = () if zoo.address else zoo.each_loaded()
    seen = {each.card.id for each in tried if each.card.access != "queries" and each.has_statistics}
    ids = zoo.ids
    blind = [teacher for teacher in ids if teacher not in seen]
    left_out = {**dict.fromkeys(zoo.problems, UNUSABLE), **(zoo.narrowing.left_out if zoo.narrowing else {})}
    counts = {card.id: (len(zoo.slots(card)), card.way) for card in zoo.cards}
    partly = {teacher: f"{used} of {way}" for teacher, (used, way) in counts.items() if used < way}
    return TakingPart(ids, left_out, partly, blind)


def with_weights(zoo: Zoo, others: Mapping[str, str] | None = None) -> TakingPart:
    """The teachers whose weights may be seen and, so far, could be; ``others`` are left out for reasons given by id."""
    kept_back = {c.id: f"grants {c.access}, not its weights" for c in zoo.cards if c.access != "weights"}
    apart = zoo.narrowing.left_out if zoo.narrowing else {}
    left_out = {**(others or {}), **apart, **kept_back, **dict.fromkeys(zoo.problems, UNUSABLE)}
    return TakingPart([teacher for teacher in zoo.ids if teacher not in left_out], left_out)


def read_teachers(zoo: Zoo) -> Generator[Event, None, tuple[list[Teacher], TakingPart]]:
    """Load all teachers whose weights may be seen, and say who takes part; the others are named and left out.

    Raises:
        BadInput: There is none.
    """
    teachers: list[Teacher] = []
    return teachers, (yield from read_each(zoo, teachers.append))


def read_each(zoo: Zoo, take: Callable[[Teacher], object]) -> Generator[Event, None, TakingPart]:
    """The same, but teachers are handed over one by one, so that not all need to be held; see ``read_teachers``."""
    yield from rejected(zoo)
    count, cards = 0, list(zoo.cards)
    for position, card in enumerate(cards):
        yield Progress(position, len(cards), f"reading teacher {card.id}")
        if teacher := (yield from read_teacher(zoo, card)):
            take(teacher)
            count += 1
    if not count:
        raise BadInput(f"no teacher of zoo {zoo.name!r} gives its weights.")
    taking_part = with_weights(zoo)
    yield taking_part.note()
    return taking_part


def read_teacher(zoo: Zoo, card: TeacherCard, step: int = 0) -> Generator[Event, None, Teacher | None]:
    """Load a teacher with its weights; one that cannot be read is named, and is None."""
    try:
        return zoo.weights_of(card.id)
    except BadInput as error:
        yield Note(step, f"left out teacher {card.id}: {error}", kind="rejected")
        return None


class Missed:
    """Ids of teachers that could not be read when they came; part of the checkpoints of who takes them one by one."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def state(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"ids": list(self.ids)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``; older checkpoints have none."""
        self.ids = [str(teacher) for teacher in flat.get("ids", [])]
