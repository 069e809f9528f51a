"""Recovered pictures one by one: what teacher and judge say of each, in which order they stand, who disagrees."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from dfml.ui.inversion.recoveries import Answer, StoredRecovery
from dfml.ui.widgets.texts import counted

Sign = Literal["right", "wrong", ""]
SORTS = {
    "class": "class",
    "teacher": "teacher's confidence",
    "judge": "judge's confidence",
    "doubt": "disagreements first",
}
"""Orders by their value in a link, with their words."""


@dataclass(frozen=True)
class Picture:
    """A recovered image, its ``position`` in the recovery, its asked class, and both answers where they were kept."""

    position: int
    image: Image.Image
    label: int
    name: str
    teacher: Answer | None = None
    judge: Answer | None = None

    @property
    def disagreed(self) -> bool:
        """Whether teacher and judge take it for different classes."""
        return bool(self.teacher and self.judge and self.teacher.first != self.judge.first)

    @property
    def sign(self) -> Sign:
        """``wrong`` where teacher and judge disagree, ``right`` where both see the asked class."""
        if not self.teacher or not self.judge:
            return ""
        return "wrong" if self.disagreed else "right" if self.judge.first == self.label else ""


def pictures_of(images: Sequence[Image.Image], labels: Sequence[int], names: Sequence[str]) -> list[Picture]:
    """Return images of which nobody has said anything, such as those of a step in between."""
    known = zip(images, labels, strict=False)
    return [Picture(i, image, label, class_name(names, label)) for i, (image, label) in enumerate(known)]


def recovered_pictures(recovery: StoredRecovery) -> list[Picture]:
    """Return the recovered images with what was said of them; ``BadInput`` as ``StoredRecovery.pictures``."""
    images, labels = recovery.every()
    said, names = recovery.answers(), recovery.classes
    none = [None] * len(images)
    teacher, judge = (said.get(who, none) for who in ("teacher", "judge"))
    rows = zip(images, labels, teacher, judge, strict=False)
    return [
        Picture(i, image, label, class_name(names, label), own, other)
        for i, (image, label, own, other) in enumerate(rows)
    ]


def class_name(names: Sequence[str], label: int) -> str:
    """Return a class's name, ``class 3`` where it has none; a dash for an answer that is no number."""
    return "–" if label < 0 else names[label] if label < len(names) else f"class {label}"


def offered_sorts(pictures: Sequence[Picture]) -> list[str]:
    """Return the orders that what was kept allows."""
    has = {"class": True, "teacher": any(one.teacher for one in pictures), "judge": any(one.judge for one in pictures)}
    has["doubt"] = has["teacher"] and has["judge"]
    return [name for name in SORTS if has[name]]


def ordered(pictures: Sequence[Picture], sort: str) -> list[Picture]:
    """Return pictures in an order of ``SORTS``: surest of the asked class first, within a class as recovered."""
    if sort == "doubt":
        # Those first of which the teacher is surest where the judge sees something else.
        return sorted(pictures, key=lambda one: (not one.disagreed, -_asked(one.teacher) + _asked(one.judge)))
    if sort in ("teacher", "judge"):
        return sorted(pictures, key=lambda one: -_asked(getattr(one, sort)))
    return sorted(pictures, key=lambda one: one.label)


def _asked(answer: Answer | None) -> float:
    return -1.0 if answer is None else answer.asked


def caption_of(picture: Picture, sort: str) -> str:
    """Return the few words below a picture: its class and, in an order of confidence, that confidence."""
    who = "judge" if sort == "doubt" else sort
    answer = getattr(picture, who) if who in ("teacher", "judge") else None
    return picture.name + (f" {100 * answer.asked:.0f}\u00a0%" if answer else "")


def said_of(who: str, answer: Answer, picture: Picture, names: Sequence[str]) -> str:
    """Return ``teacher: apple, 98 %``, and how sure it is of the asked class where that is another."""
    told = f"{who}: {class_name(names, answer.first)}, {100 * answer.sure:.0f} %"
    return told if answer.first == picture.label else f"{told}; {picture.name} {100 * answer.asked:.0f} %"


def disagreements(pictures: Sequence[Picture]) -> str:
    """Say how often teacher and judge disagree; empty where one of them said nothing."""
    both = [one for one in pictures if one.teacher and one.judge]
    count = sum(one.disagreed for one in both)
    return f"Teacher and judge disagree on {count} of {counted(len(both), 'picture')}." if both else ""


def row_of_classes(labels: Sequence[int | str], most: int) -> int:
    """Return the columns, at most so many, with which each row has one class; 0 where their sizes do not allow it."""
    counts = set(Counter(labels).values())
    each = counts.pop() if len(counts) == 1 else 0
    return next((each // rows for rows in range(1, 9) if each % rows == 0 and 3 <= each // rows <= most), 0)
