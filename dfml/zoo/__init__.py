"""Teachers and zoos: load, save, pre-train, and the oracles that question a teacher.

The names below are brought in when they are first asked for, so that cards can be read without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfml.zoo.card import TeacherCard
    from dfml.zoo.teacher import Teacher
    from dfml.zoo.zoo import Zoo, open_zoo, zoo_names

__all__ = ["Teacher", "TeacherCard", "Zoo", "open_zoo", "zoo_names"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class or a function
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dfml.zoo import card, teacher, zoo

    return next(getattr(module, name) for module in (card, teacher, zoo) if hasattr(module, name))
