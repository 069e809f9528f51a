"""Which classes of which teachers a run makes use of, and in images of which size: decided from cards and options."""

from random import Random

from dfml.core.config import Config
from dfml.core.errors import BadInput, nearest
from dfml.core.names import same
from dfml.core.seeds import derive_seed
from dfml.zoo.listing import TeacherCard
from dfml.zoo.zoo import Narrowing, Zoo

LEAST = 2
"""Classes that a teacher must be asked about: one alone tells nothing apart."""
QUERIES = "only answers queries, and this method takes gradients"
TOO_FEW = "knows fewer than two of the classes that classes_per_teacher lists"


def as_used(zoo: Zoo, config: Config, seed: int) -> Zoo:
    """The zoo as a training of this config makes use of it: ``classes_per_teacher``, ``images_size``, ``within_way``.

    Classes are drawn by ``seed``, the run's; for kept recoveries they are the same in all runs. A zoo that was narrowed
    already is returned as it is.

    Raises:
        BadInput: Fewer than two classes are asked for, or no teacher knows two of those that are listed.
    """
    if zoo.narrowing is not None:
        return zoo
    text, size = getattr(config, "classes_per_teacher", None), getattr(config, "images_size", None)
    most = config.way if getattr(config, "within_way", False) else None  # type: ignore[attr-defined]
    if text is not None and _is_number(text.strip()):
        most, text = min(int(text), most or int(text)), None
    listed = None if text is None else [same(word.strip()) for word in text.split(",") if word.strip()]
    if (most is not None and most < LEAST) or (listed is not None and len(set(listed)) < LEAST):
        asked = getattr(config, "classes_per_teacher", None)
        raise BadInput(f"classes_per_teacher takes a number from {LEAST}, or several classes; received {asked!r}.")
    seed = getattr(config, "recovery_seed", seed) if getattr(config, "recovered", "") == "kept" else seed
    slots, left_out = {}, {}
    for card in zoo.cards:
        if getattr(config, "white_box", False) and card.access == "queries":
            left_out[card.id] = QUERIES
            continue
        chosen = list(range(card.way)) if listed is None else _listed(card, listed)
        if most is not None and len(chosen) > most:
            chosen = sorted(Random(derive_seed(seed, "classes", card.id)).sample(chosen, most))
        if len(chosen) < LEAST:
            left_out[card.id] = TOO_FEW
        elif len(chosen) < card.way:
            slots[card.id] = tuple(chosen)
    if len(left_out) == len(zoo.cards) and TOO_FEW in left_out.values():
        known = {name for card in zoo.cards for name in card.classes or ()}
        raise BadInput(
            f"no teacher of zoo {zoo.name!r} knows two of the classes that classes_per_teacher lists."
            f"{nearest((listed or [''])[0], sorted(known))}"
        )
    if len(left_out) == len(zoo.cards):
        return zoo  # nobody is left, which the method refuses
    return zoo.narrowed(Narrowing(slots, left_out, size)) if slots or left_out or size else zoo


def _is_number(word: str) -> bool:
    """Whether a word is a number that a teacher's classes could have; Python reads no longer ones than 4,300 digits."""
    return word.isdecimal() and len(word) < 10


def _listed(card: TeacherCard, listed: list[str]) -> list[int]:
    """Positions of a teacher's classes that are listed by name or, where none is called so, by position."""
    names = [same(name) for name in card.classes or ()]
    found = {slot for slot, name in enumerate(names) if name in listed}
    numbers = {int(word) for word in listed if _is_number(word) and word not in names}
    return sorted(found | {number for number in numbers if number < card.way})
