"""DFML Studio: data-free meta-learning from a zoo of trained classifiers."""

__version__ = "0.1.0"
