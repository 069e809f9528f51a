"""DFML Studio: data-free meta-learning from a zoo of trained classifiers.

Six names do the whole way from Python; ``docs/python.md`` shows it. They are imported when they are first asked for, so
that ``import dfml`` alone costs nothing.

- ``open_zoo``: read a zoo of teachers.
- ``invert``: recover images from teachers.
- ``train``: train a meta-model on what a zoo knows.
- ``evaluate``: measure a meta-model on new classes.
- ``adapt``: let it learn classes of your own and classify images.
- ``MetaModel``: what is trained; ``load`` and ``save`` it.
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["open_zoo", "invert", "train", "evaluate", "adapt", "MetaModel"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Import a public name; what it is stands in ``dfml.api``, for type checkers in ``__init__.pyi``."""
    if name in __all__:
        found = globals()[name] = getattr(import_module("dfml.api"), name)
        return found
    raise AttributeError(f"module 'dfml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
