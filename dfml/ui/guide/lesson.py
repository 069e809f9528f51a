"""What a lesson is: steps, choices that change what is seen, a number, a question, and a link to the lab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dfml.ui.guide.lesson_files import Facts
from dfml.ui.guide.stage import Bar, Scene
from dfml.ui.widgets.navigation import Page

Choices = Mapping[str, str]
"""By the name of each choice its value, as it stands in the link."""


class Choice(NamedTuple):
    """A choice that changes what is seen: its name in the link, its words, and the words of each value."""

    name: str
    title: str
    options: Mapping[str, str]
    help: str = ""


class Figure(NamedTuple):
    """The number of a step: what it is, its words, and the formula or the count behind it."""

    title: str
    words: str
    formula: str


@dataclass(frozen=True)
class Step:
    """One step: its title, its text, made of the facts and the choices, and the choices that it begins with."""

    title: str
    text: Callable[[Facts, Choices], str]
    begins: Mapping[str, str] = field(default_factory=dict)


class Lab(NamedTuple):
    """A link to the page where the same scene is done by hand."""

    page: Page
    text: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Lesson:
    """A lesson; ``name`` is that of its files, ``short`` stands on its button.

    ``scene`` and ``figure`` take the facts, the choices and the number of the step, from 1. ``uses`` names for each
    step the choices that change it; all do in each, where it is left out.
    """

    name: str
    short: str
    title: str
    idea: str
    steps: Sequence[Step]
    choices: Sequence[Choice]
    scene: Callable[[Facts, Choices, int], Scene]
    figure: Callable[[Facts, Choices, int], Figure]
    question: str
    answer: Callable[[Facts], str]
    removes: str
    say: Callable[[Facts], str]
    labs: Sequence[Lab]
    uses: Sequence[tuple[str, ...]] = ()

    def begins(self, step: int) -> dict[str, str]:
        """Return the choices that a step (from 1) begins with: its own, else the first value of each."""
        own = self.steps[step - 1].begins
        return {choice.name: own.get(choice.name, next(iter(choice.options))) for choice in self.choices}


def points(value: float) -> str:
    """Return a difference of fractions as ``+3.5``, in points; never as ``-0.0``."""
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def per_cent(value: float, digits: int = 0) -> str:
    """Return a fraction as ``77 %``, which no line end parts."""
    return f"{100 * value:.{digits}f}\u00a0%"


def share_bar(name: str, value: float, group: int = 0, *, digits: int = 0, half: float | None = None) -> Bar:
    """Return a bar of a share in [0, 1], whose words are per cent with so many digits."""
    return Bar(name, value, per_cent(value, digits), half, group)
