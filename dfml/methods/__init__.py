"""The methods: one paper, one file, one class."""

from dfml.methods import average, best_teacher, dro, ensemble_features, ota, purer, random_init, real_data  # noqa: F401 - registers them
from dfml.methods.base import METHODS, Method

__all__ = ["METHODS", "Method"]
