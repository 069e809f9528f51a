"""The loops that ``bench speed`` knows, by their names; what they compute with is imported with the loop."""

from importlib import import_module

from dfml.bench.speed.side_by_side import Loop

_FILES = {
    "recovery_loops": ("pixels", "generator", "five"),
    "meta_loops": ("maml", "protonet", "bell", "igr"),
    "evaluation_loops": ("centroid", "steps"),
}
LOOPS = [name for names in _FILES.values() for name in names]


def loop_of(name: str) -> Loop:
    """The loop of one of the names in ``LOOPS``; loads torch."""
    place = next(file for file, names in _FILES.items() if name in names)
    (found,) = (loop for loop in import_module(f"dfml.bench.speed.{place}").LOOPS if loop.name == name)
    return found
