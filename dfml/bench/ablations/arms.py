"""The arms of ``bench ablations``: by method, which part of it is taken away or changed, and what that is to show.

An arm is an ordinary training of the method's preset with a few options changed. It is set against the arm named
``against`` of the same method, by default the whole method as it is published.
"""

from dataclasses import dataclass
from typing import Any

WHOLE = "published"
"""The arm that changes nothing."""


@dataclass(frozen=True)
class Arm:
    """One arm of a method.

    Attributes:
        method: Whose.
        name: Of the arm, told apart by it from the method's others; also in names of folders.
        question: What the comparison answers, for readers of the table.
        changes: ``key=value`` pairs that change the preset.
        against: The arm that it is compared with.
        teachers: Only so many teachers of the zoo, sampled by the seed; None: all.
        calibrate: A calibrator of the adapted model; the training is that of ``against``.
        polluted: Options of ``PollutionConfig`` by name, and ``source``; empty: the zoo as it is.
        figures: Curves of the run whose last value stands in the table, by their names.
    """

    method: str
    name: str
    question: str
    changes: tuple[str, ...] = ()
    against: str = WHOLE
    teachers: int | None = None
    calibrate: str | None = None
    polluted: tuple[tuple[str, Any], ...] = ()
    figures: tuple[str, ...] = ()


def _arms(method: str, *rows: tuple[str, str, tuple[str, ...]], **shared: Any) -> list[Arm]:  # noqa: ANN401 - fields of Arm
    return [Arm(method, name, question, changes, **shared) for name, question, changes in rows]


ARMS: tuple[Arm, ...] = (
    *_arms(
        "purer",
        (WHOLE, "the whole method: inversion, and a curriculum of adversarial steps at plateaus", ()),
        ("no adversarial steps", "is inversion alone (EI) as good as with the curriculum (ECI)?", ("adversarial=0",)),
    ),
    Arm("purer", "10 teachers", "what do more teachers bring?", teachers=10),
    Arm("purer", "30 teachers", "what do more teachers bring?", teachers=30),
    Arm("purer", "ICFIL", "does calibrating to each task help its model?", calibrate="icfil"),
)
