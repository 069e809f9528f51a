"""What seeds gave when somebody last looked, to be compared with what they give now.

That a seed's result stays is promised to readers of tables (``CONTRIBUTING.md``), and nearly every fault of a training
moves it. Where a change is meant to move results, ``DFML_TEST_RECORD=1`` makes the tests write down the new ones, and
whoever reads the change sees in the files beside this one which results moved.

Teachers are those of ``zoo``, whose weights are kept here, and all is computed in float64 (the fixture ``doubled``):
two processors then agree far within what is compared. What is trained anew, or in float32, would not.
"""

import json
import math
import os
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock

FOLDER = Path(__file__).parent
ZOO = FOLDER / "zoo"
NEAR = 1e-5
"""How far a number may be from what was recorded, as a share of the largest of its list."""
DIGITS = 8


def recording() -> bool:
    """Whether results are written down in place of being compared."""
    return os.environ.get("DFML_TEST_RECORD") == "1"


@cache
def _known(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def check(margin, name, case, found):
    """Compare numbers by name, each a list, with those of a case in a file of this folder; or write them down."""
    if recording():
        _write(name, case, {what: [float(f"{v:.{DIGITS}g}") for v in values] for what, values in found.items()})
        return margin.at_most("recorded", 0.0, 1.0)
    known = _known(name).get(case)
    assert known is not None, f"{case} is not recorded yet: run this test once with DFML_TEST_RECORD=1"
    assert found.keys() == known.keys(), f"{case}: other numbers than recorded: {sorted(found.keys() ^ known.keys())}"
    apart = {what: _apart(found[what], known[what]) for what in known}
    worst = max(apart, key=lambda what: apart[what])
    return margin.at_most(f"{case}: {worst} from what was recorded, in tolerances", apart[worst], 1.0)


def _apart(found, known):
    """The largest distance of two lists in units of what it may be."""
    if len(found) != len(known):
        return math.inf
    may = NEAR * max((abs(v) for v in known), default=0.0) + 1e-9
    apart = (abs(a - b) / may for a, b in zip(found, known, strict=True))
    return max((math.inf if math.isnan(value) else value for value in apart), default=0.0)


def _write(name, case, numbers):
    path = FOLDER / f"{name}.json"
    with FileLock(Path(tempfile.gettempdir()) / f"dfml-recorded-{name}.lock"):
        cases = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        cases[case] = numbers
        lines = [f"{json.dumps(key)}: {json.dumps(cases[key])}" for key in sorted(cases)]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def projections(values, count=4):
    """Sums of a tensor's elements under random signs, which a change of any of them moves; a list of ``count``."""
    import torch

    flat = values.detach().double().flatten()
    signs = torch.randint(0, 2, (count, len(flat)), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    return ((signs @ flat) / max(1, len(flat)) ** 0.5).tolist()


def numbers_of(events):
    """Of a training: the mean and the last value of each curve, and its model's answers.

    Not its weights: of what has no effect, such as a bias before batch normalisation, the gradients are roundings, and
    Adam takes whole steps of them.
    """
    import torch

    from dfml.core.events import Scalars

    curves = {}
    for event in events:
        for name, value in event.values.items() if isinstance(event, Scalars) else ():
            curves.setdefault(name, []).append(float(value))
    found = {name: [sum(values) / len(values), values[-1]] for name, values in sorted(curves.items())}
    model = events[-1].result
    pictures = torch.rand(24, *model.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = model.net(model.prepare(pictures))
    return {**found, "answers": projections(answers)}
