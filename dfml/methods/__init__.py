"""The methods: one paper, one file, one class."""

# ruff: noqa: F401 - importing them registers them

from dfml.methods import (
    average,
    best_teacher,
    bidf_mkd,
    distill,
    dro,
    ensemble_features,
    free,
    ota,
    purer,
    random_init,
    real_data,
    teapot,
    tgr,
)
from dfml.training.method import METHODS, Method

__all__ = ["METHODS", "Method"]
