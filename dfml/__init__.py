"""DFML Studio: data-free meta-learning from a zoo of trained classifiers."""

from dfml.core.version import __version__ as __version__
