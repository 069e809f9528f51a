"""Lesson 5: why the mean of two networks fails, and what aligning repairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfml.ui.components.line_chart import Line
from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent, share_bar
from dfml.ui.guide.lesson_files import Facts, unpacked
from dfml.ui.guide.stage import Bar, Scene, State, bars, curves
from dfml.ui.widgets.navigation import COMPARE, TRAINING

Network = list[tuple[np.ndarray, np.ndarray]]
"""Weight [out, in] and bias [out] of each layer."""
SHARES = tuple(round(0.1 * i, 1) for i in range(11))


def networks(facts: Facts, first: str, align: bool) -> tuple[Network, Network]:
    """The two networks; with ``align`` the units of the second in the order of the first's."""
    one, other = (_layers(facts, unpacked(text).astype(np.float64)) for text in facts["networks"][first])
    return one, _reordered(other, facts["networks"][f"{first}_order"]) if align else other


def _layers(facts: Facts, flat: np.ndarray) -> Network:
    found, at, sizes = [], 0, facts["sizes"]
    for before, after in zip(sizes[:-1], sizes[1:], strict=True):
        weight = flat[at : at + before * after].reshape(after, before)
        at += before * after
        found.append((weight, flat[at : at + after]))
        at += after
    return found


def _reordered(network: Network, orders: Sequence[Sequence[int]]) -> Network:
    """The same function: each hidden layer's units in another order, and the next layer's columns with them."""
    found, before = [], None
    for place, (weight, bias) in enumerate(network):
        moved = weight if before is None else weight[:, before]
        before = orders[place] if place < len(orders) else None
        found.append((moved, bias) if before is None else (moved[before], bias[before]))
    return found


def mixed(one: Network, other: Network, share: float) -> Network:
    """The weights ``share`` of the way from one to the other."""
    return [
        ((1 - share) * v + share * w, (1 - share) * b + share * c) for (v, b), (w, c) in zip(one, other, strict=True)
    ]


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    """What a network says at x, [points]; SiLU between the layers."""
    values = x[:, None]
    for place, (weight, bias) in enumerate(network):
        values = values @ weight.T + bias
        if place < len(network) - 1:
            values = values / (1 + np.exp(-values))
    return values[:, 0]


def points(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """The places at which errors are measured, and the sinusoid there."""
    told = facts["sinusoid"]
    x = np.linspace(-told["range"], told["range"], told["points"])
    return x, told["amplitude"] * np.sin(x + told["phase"]) + told["offset"]


def error_at(facts: Facts, first: str, align: bool, share: float) -> float:
    """Mean squared error of the mixture of the two networks that are shown."""
    x, wanted = points(facts)
    return float(np.mean((outputs(mixed(*networks(facts, first, align), share), x) - wanted) ** 2))


def midway(facts: Facts, first: str, align: bool) -> float:
    """Mean squared error midway, mean over all pairs that were trained."""
    return facts["toy"][first]["aligned" if align else "plain"]


def _morph(facts: Facts, first: str, align: bool, shares: Sequence[float]) -> Scene:
    x, wanted = points(facts)
    one, other = networks(facts, first, align)
    # The places on the axis count from 0: a chart of steps begins there.
    along = (x - x[0]).tolist()
    fixed = [Line("A", along, outputs(one, x).tolist()), Line("B", along, outputs(other, x).tolist())]
    lines = {s: [*fixed, Line("mixture", along, outputs(mixed(one, other, s), x).tolist())] for s in shares}
    first_panel = curves(
        "fit", lines[shares[0]], x="x", y="output", height=300, width=440, quiet=True,
        alt="Outputs of networks A and B and of their mixture",
    )  # fmt: skip
    states = []
    for share in shares:
        panel = curves("fit", lines[share], x="x", y="output", alt="")
        words = f"{100 * (1 - share):.0f} % A, {100 * share:.0f} % B"
        error = float(np.mean((outputs(mixed(one, other, share), x) - wanted) ** 2))
        change = {"lines": panel["lines"], "title": f"{words}: error {_short(error)}"}
        states.append(State({"fit": change}, seconds=0.45, label=words))
    # The middle is the point; the way on to B is left to the reader.
    return Scene([first_panel], states, rest=shares.index(0.5) if 0.5 in shares else None)


def _short(error: float) -> str:
    """An error in as many digits as tell it from 0."""
    return f"{error:.2f}" if error >= 0.01 else f"{error:.4f}"


def _fits_shown(facts: Facts, first: str) -> Scene:
    """Both networks, each beside the curve that it was to fit, drawn from left to right."""
    x, wanted = points(facts)
    along = (x - x[0]).tolist()
    panels = []
    for name, network in zip("AB", networks(facts, first, False), strict=True):
        says = outputs(network, x)
        error = float(np.mean((says - wanted) ** 2))
        lines = [Line("curve to fit", along, wanted.tolist()), Line(f"network {name}", along, says.tolist())]
        panel = curves(
            name, lines, x="x", y="output", height=280, quiet=True, title=f"network {name}: error {_short(error)}",
            alt=f"The curve, and what network {name} says",
        )  # fmt: skip
        panels.append(panel)
    states = [State({name: {"cursor": along[-1] * share} for name in "AB"}, seconds=0.3) for share in SHARES[1:]]
    return Scene(panels, states)


def zoo_bars(facts: Facts) -> list[Bar]:
    """Accuracies by centroid: single teachers, means of several, random weights."""
    told = facts["zoo"]
    singles = told["singles"]
    low, mean = min(singles), float(np.mean(singles))
    rows = [share_bar(f"one teacher (mean of {len(singles)})", mean, digits=1, half=mean - low)]
    for count in told["counts"]:
        for how, group in (("plain", 1), ("aligned", 2)):
            rows.append(share_bar(f"mean of {count}, {how}", told[str(count)][how], group, digits=1))
    return [*rows, share_bar("random weights", told["random"], 3, digits=1)]


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    if step == 5:
        return Scene([bars("zoo", zoo_bars(facts), high=0.7, alt="Accuracy on new classes by centroid", widest=760)])
    align, first = choices["align"] == "yes", choices["first"]
    if step == 1:
        return _fits_shown(facts, first)
    shares = SHARES[:6] if step == 2 else SHARES
    return _morph(facts, first, align, shares)


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    first, align = choices["first"], choices["align"] == "yes"
    if step == 1:
        alone = facts["toy"][first]["alone"]
        formula = f"mean squared error at {facts['sinusoid']['points']} points; a flat line: {facts['flat_line']:.2f}"
        return Figure("error of one network", f"{alone:.4f}", formula)
    if step == 5:
        told = facts["zoo"][str(facts["zoo"]["counts"][-1])]
        formula = (
            f"{per_cent(told['plain'], 1)} plain; random weights {per_cent(facts['zoo']['random'], 1)}; by centroid"
        )
        return Figure("mean of 100, aligned", per_cent(told["aligned"], 1), formula)
    formula = (
        f"mean squared error over {facts['pairs']} pairs; this one {error_at(facts, first, align, 0.5):.2f}; a flat "
        f"line {facts['flat_line']:.2f}"
    )
    return Figure("error midway", f"{midway(facts, first, align):.2f}", formula)


def _fits(facts: Facts, choices: Choices) -> str:
    begun = ", from different first weights" if choices["first"] == "own" else ", from the same first weights"
    return (
        f"Two networks, A and B, were trained to fit the same curve{begun}. Each alone lies upon it: the "
        f"error is {facts['toy'][choices['first']]['alone']:.4f}."
    )


def _middle(facts: Facts, _: Choices) -> str:
    return (
        f"Now take the mean of their weights, number by number. Midway the error is {midway(facts, 'own', False):.2f}; "
        f"a flat line has {facts['flat_line']:.2f}. Unit 7 of A and unit 7 of B do different things, and their mean "
        "does neither."
    )


def _matched(facts: Facts, _: Choices) -> str:
    return (
        "Put B's units into the order of those of A that they are most like. B computes what it did before, and "
        f"midway the error falls from {midway(facts, 'own', False):.2f} to {midway(facts, 'own', True):.2f}."
    )


def _shared(facts: Facts, _: Choices) -> str:
    return (
        f"Or let both begin from the same first weights: {midway(facts, 'shared', False):.2f} midway, without any "
        f"aligning, and {midway(facts, 'shared', True):.2f} with it. The common start does more than the matching."
    )


def _in_the_zoo(facts: Facts, _: Choices) -> str:
    told, singles = facts["zoo"], facts["zoo"]["singles"]
    many = told[str(told["counts"][-1])]
    return (
        f"In the zoo aligning lifts the mean of 100 teachers from {per_cent(many['plain'], 1)} to "
        f"{per_cent(many['aligned'], 1)}. But random weights give {per_cent(told['random'], 1)}, and single teachers "
        f"{per_cent(min(singles), 1)} to {per_cent(max(singles), 1)}: it leads back towards random features, not to a "
        "teacher."
    )


def _answer(facts: Facts) -> str:
    align, shared = midway(facts, "own", True), midway(facts, "shared", False)
    better = "The same first weights" if shared < align else "Aligning"
    return (
        f"{better}: {shared:.2f} midway with a common start, {align:.2f} with aligned units, "
        f"{midway(facts, 'own', False):.2f} with neither."
    )


LESSON = Lesson(
    name="mixing",
    short="Mixing",
    title="Why the mean of networks fails",
    idea="Two networks do one thing with units in different places; the mean mixes strangers.",
    steps=(
        Step("Two fits", _fits, {"align": "no", "first": "own"}),
        Step("The middle", _middle, {"align": "no", "first": "own"}),
        Step("Match the units", _matched, {"align": "yes", "first": "own"}),
        Step("The same first weights", _shared, {"align": "no", "first": "shared"}),
        Step("In the zoo", _in_the_zoo, {"align": "no", "first": "own"}),
    ),
    choices=(
        Choice("align", "Align the units", {"no": "no", "yes": "yes"}),
        Choice("first", "First weights", {"own": "each its own", "shared": "the same"}),
    ),
    scene=scene,
    figure=figure,
    question="Which saves more by itself: aligning the units, or the same first weights?",
    answer=_answer,
    removes="“Aligning repairs averaging.”",
    say=lambda facts: (
        f"A works, B works, half and half is worth a flat line: {midway(facts, 'own', False):.1f} against "
        f"{facts['flat_line']:.1f}. I rename B's neurons, and it works. In our zoo, though, renaming only leads back "
        "towards random features."
    ),
    labs=(
        Lab(TRAINING, "average in Meta-training", {"method": "average"}),
        Lab(TRAINING, "ota in Meta-training", {"method": "ota"}),
        Lab(COMPARE, "Compare both with random weights", {}),
    ),
    uses=(("first",), ("align", "first"), ("align", "first"), ("align", "first"), ()),
)
