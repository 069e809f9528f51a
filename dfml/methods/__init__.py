"""The methods: one paper, one file, one class; beside them baselines and a reference."""

# ruff: noqa: F401 - importing them registers them

from dfml.methods import baselines, bidf_mkd, distill, dro, free, purer, real_data, teapot, tgr
from dfml.training.method import METHODS, Method

METHODS.put_first(sorted(METHODS))

__all__ = ["METHODS", "Method"]
