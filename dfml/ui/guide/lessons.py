"""All lessons of the guide, in order."""

from dfml.ui.guide import conflicts, dreams, experts, leaks, liars, mixing, painters, steps
from dfml.ui.guide.lesson import Lesson

LESSONS: tuple[Lesson, ...] = tuple(
    each.LESSON for each in (experts, dreams, painters, steps, mixing, conflicts, liars, leaks)
)
