"""Assertions whose outcome depends on random draws or on a processor's rounding, and how near their limit they came."""

import json
import math
import os

import pytest

MARKER = "stochastic"


class Margin:
    """What the fixture ``margin`` gives a test that is marked ``stochastic``.

    Each check asserts and, where ``$DFML_TEST_MARGINS`` names a file, adds a line of JSON to it: test, name, value,
    limit, room. Room is the distance from the limit on its good side, in units of the distance between the limit and
    ``null``, which is what no effect would give (chance, equality), or no error. 0: on the limit; 1: as far from it as
    ``null`` is, beyond which an error cannot go; negative: failed.
    """

    def __init__(self, test):
        self.test, self.records = test, []

    def at_least(self, name, value, limit, *, null=0.0):
        """``value`` >= ``limit``; ``null`` is chance for an accuracy, 1 for a ratio or for what is 1 at best."""
        self._check(name, value, limit, (float(value) - limit) / _distance(limit, null), ">=")

    def at_most(self, name, value, limit, *, null=0.0):
        """``value`` <= ``limit``; ``null`` as in ``at_least``."""
        self._check(name, value, limit, (limit - float(value)) / _distance(limit, null), "<=")

    def close(self, name, value, wanted, tolerance):
        """``value`` within ``tolerance`` of ``wanted``: their distance is what is held against its limit."""
        self.at_most(name, abs(float(value) - float(wanted)), tolerance)

    def alike(self, name, found, wanted, *, atol=0.0, rtol=0.0):
        """Every element of a tensor within ``atol + rtol * |wanted|``; the worst is what is held against 1."""
        apart = (found - wanted).detach().abs() / (atol + rtol * wanted.detach().abs())
        self.at_most(name, apart.max(), 1.0)

    def _check(self, name, value, limit, room, sign):
        seen = {"test": self.test, "name": name, "value": float(value), "limit": float(limit), "room": room}
        self.records.append(seen)
        if path := os.environ.get("DFML_TEST_MARGINS"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(seen) + "\n")
        assert math.isfinite(room) and room >= 0, f"{name}: {float(value):.6g} {sign} {limit:.6g} does not hold"


def _distance(limit, null):
    if limit == null:
        raise ValueError("a limit equal to null leaves no room to measure: compare a ratio, or give another null")
    return abs(limit - null)


def refuse_unlike(item):
    """The marker and the fixture come together: the script that looks at the margins finds tests by the marker."""
    marked, recording = item.get_closest_marker(MARKER) is not None, "margin" in getattr(item, "fixturenames", ())
    if marked != recording:
        raise pytest.UsageError(f"{item.nodeid}: mark a test {MARKER} exactly where it takes the fixture margin.")
