"""The methods: one paper, one file, one class; beside them baselines. Every file here is known by its place."""

from dfml.training.method import METHODS, Method

METHODS.find_in(__name__, __path__[0])
METHODS.put_first(sorted(METHODS))

__all__ = ["METHODS", "Method"]
