"""Teachers and zoos: load, save, pre-train, and the oracles that question a teacher.

The names below are brought in when they are first asked for, so that cards can be read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfml.zoo.card import TeacherCard
    from dfml.zoo.listing import zoo_names
    from dfml.zoo.open import open_zoo
    from dfml.zoo.teacher import Teacher
    from dfml.zoo.zoo import Zoo

__all__ = ["Teacher", "TeacherCard", "Zoo", "open_zoo", "zoo_names"]
_HOME = {"Teacher": "teacher", "TeacherCard": "card", "Zoo": "zoo", "open_zoo": "open", "zoo_names": "listing"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class or a function
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
