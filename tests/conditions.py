"""What the environment asks of all tests: how many threads they take, and what is added to their seeds."""

import os

import pytest


def threads() -> int:
    """``$DFML_TEST_THREADS``, of each process that computes; 1 unless said otherwise.

    Threads that share a core wait for each other, and sums change with their number.
    """
    return _whole("DFML_TEST_THREADS", 1, least=1, most=256)


def seed(own: int = 0) -> int:
    """A test's ``own`` seed plus ``$DFML_TEST_SEED``, which is 0 unless said otherwise."""
    return own + _whole("DFML_TEST_SEED", 0, least=0, most=10**6)


def _whole(name, default, *, least, most):
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise pytest.UsageError(f"{name} must be a whole number from {least} to {most}, received {text!r}.")
    return int(text)
