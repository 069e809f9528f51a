"""Meta-learning: learners, the evaluation protocol, meta-models and adapting them to images."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfml.meta.ensemble import EnsembleModel
    from dfml.meta.learners import LEARNERS, MetaLearner, make_learner
    from dfml.meta.model import MetaModel

__all__ = ["LEARNERS", "EnsembleModel", "MetaLearner", "MetaModel", "make_learner"]
_PLACES = {"EnsembleModel": "ensemble", "MetaModel": "model"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the names
    """Import a name when it is first asked for, so that options can be read without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'learners')}"), name)
