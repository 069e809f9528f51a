"""Lesson 6: teachers give one class different slots, and groups of unlike teachers cured nothing that was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent, points
from dfml.ui.guide.lesson_files import Facts, unpacked
from dfml.ui.guide.stage import Bar, Scene, State, bars, links, matrix
from dfml.ui.widgets.navigation import TRAINING
from dfml.ui.widgets.texts import spaced

FIRST = "000"
GROUPS = {"dissimilar": "unlike teachers", "similar": "like teachers", "random": "chance"}
PERSONS = {"baby", "boy", "girl", "man", "woman"}


def crossing(facts: Facts) -> float:
    """Share of shared classes that stand in different slots, over all pairs of teachers."""
    return facts["different_slots"] / facts["shared"]


def pair_shown(facts: Facts) -> tuple[str, str]:
    """The first teacher and the one that shares most classes with it, most of them in other slots."""
    heads = facts["heads"]
    own = heads[FIRST]

    def worth(other: str) -> tuple[int, int]:
        shared = [name for name in own if name in heads[other]]
        return sum(own.index(name) != heads[other].index(name) for name in shared), len(shared)

    others = [name for name in heads if name != FIRST and not PERSONS & set(heads[name])]
    return FIRST, max(others, key=worth)


def similarities(facts: Facts) -> np.ndarray:
    """The matrix that is shown, [teachers, teachers], from its 8-bit levels."""
    count = len(facts["heads"])
    levels = unpacked(facts["matrix"], "uint8").reshape(count, count)
    return facts["lowest"] + levels / 255 * (1 - facts["lowest"])


def within_between(facts: Facts, by: str) -> tuple[float, float]:
    """Mean similarity of two teachers of one group, and of two groups."""
    values, groups = similarities(facts), np.array(facts["groupings"][by]["groups"])
    pairs = np.triu(np.ones_like(values, dtype=bool), 1)
    same = groups[:, None] == groups[None]
    return float(values[pairs & same].mean()), float(values[pairs & ~same].mean())


def _heads(facts: Facts, drawn: bool) -> Scene:
    pair = pair_shown(facts)
    heads = [(f"teacher {name}", [spaced(each) for each in facts["heads"][name]]) for name in pair]
    panel = links("heads", heads, alt="The outputs of two teachers, with lines between equal classes", drawn=False)
    states = [State({"heads": {"drawn": False}}, seconds=0.6)]
    if drawn:
        states.append(State({"heads": {"drawn": True}}, seconds=1.4))
    return Scene([panel], states)


def _order(groups: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
    order = [int(i) for i in np.argsort(groups, kind="stable")]
    bounds, at = [], 0
    for group in sorted(set(groups)):
        size = sum(g == group for g in groups)
        bounds.append((at, at + size))
        at += size
    return order, bounds


def _grouped(facts: Facts, by: str, sorted_: bool) -> Scene:
    count = len(facts["heads"])
    groups = facts["groupings"][by]["groups"]
    order, bounds = _order(groups)
    plain = list(range(count))
    panel = matrix(
        "matrix", facts["matrix"], plain, title=f"similarity of {count} teachers",
        alt="Matrix of the similarity of all pairs of teachers",
    )  # fmt: skip
    if not sorted_:
        return Scene([panel])
    (within, between), reach = within_between(facts, by), 1.0
    rows = [Bar("within a group", within, f"{within:.3f}"), Bar("between groups", between, f"{between:.3f}", group=1)]
    means = bars(
        "means",
        rows,
        high=reach,
        alt="Mean similarity within and between groups",
        title=f"groups: {GROUPS[by]}",
        widest=420,
    )
    states = [State(seconds=0.7), State({"matrix": {"order": order, "bounds": bounds}}, seconds=1.2)]
    return Scene([panel, means], states)


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    if step <= 2:
        return _heads(facts, drawn=step == 2)
    return _grouped(facts, choices["by"], sorted_=step > 3)


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    if step <= 2:
        formula = f"{facts['different_slots']:,} of {facts['shared']:,} shared classes in all pairs; by chance 80 %"
        return Figure("in different slots", per_cent(crossing(facts)), formula)
    if step == 3:
        values = similarities(facts)
        pairs = values[np.triu_indices(len(values), 1)]
        formula = f"mean over {len(pairs):,} pairs; from {pairs.min():.2f} to {pairs.max():.2f}; 1: alike"
        return Figure("similarity of two teachers", f"{pairs.mean():.3f}", formula)
    within, between = within_between(facts, choices["by"])
    formula = f"within {within:.3f}, between {between:.3f}; random groups {_difference(facts, 'random'):+.3f}"
    return Figure("within less between", f"{within - between:+.3f}", formula)


def _difference(facts: Facts, by: str) -> float:
    within, between = within_between(facts, by)
    return within - between


def _two(facts: Facts, _: Choices) -> str:
    one, other = pair_shown(facts)
    first, second = spaced(facts["heads"][one][0]), spaced(facts["heads"][other][0])
    return (
        f"Output 1 of teacher {one} means {first}, of teacher {other} it means {second}. No slot has a meaning of its "
        "own."
    )


def _lines(facts: Facts, _: Choices) -> str:
    return (
        f"Join what is the same class: the lines cross. Over all pairs of teachers {per_cent(crossing(facts))} of the "
        "shared classes stand in different slots, as chance would have it. Whoever learns slots from all of them is "
        "pulled in many directions."
    )


def _matrix(facts: Facts, _: Choices) -> str:
    return (
        f"A measure of conflict: recover pictures from each of {len(facts['heads'])} teachers, and compare what they "
        "would change in one fixed network. Each cell is a pair; the stronger the colour, the more alike."
    )


def _groups(facts: Facts, _: Choices) -> str:
    outcome = facts["outcome"]
    within, between = within_between(facts, "dissimilar")
    return (
        f"The paper's remedy: put unlike teachers into a group. Within such groups the similarity is {within:.3f}, "
        f"between them {between:.3f}. And training on ten unlike instead of ten like teachers gave "
        f"{points(outcome['accuracy'])} ± {100 * outcome['ci95']:.1f} points: no gain that could be told."
    )


def _random(facts: Facts, _: Choices) -> str:
    return (
        f"Deal the teachers out at random: within less between is {_difference(facts, 'random'):+.3f}, with unlike "
        f"groups {_difference(facts, 'dissimilar'):+.3f}, with like ones {_difference(facts, 'similar'):+.3f}. In this "
        "zoo unlike groups hardly differ from random ones. A null result is a result."
    )


LESSON = Lesson(
    name="conflicts",
    short="Conflicts",
    title="Do teachers conflict?",
    idea="One class stands in different slots: conflict can be measured, but grouping did not cure it.",
    steps=(
        Step("Two heads", _two),
        Step("Crossing lines", _lines),
        Step("A matrix", _matrix),
        Step("Groups", _groups, {"by": "dissimilar"}),
        Step("Random groups", _random, {"by": "random"}),
    ),
    choices=(Choice("by", "Group by", GROUPS),),
    scene=scene,
    figure=figure,
    question="Do groups of unlike teachers differ from random ones?",
    answer=lambda facts: (
        f"Hardly: within less between is {_difference(facts, 'dissimilar'):+.3f} for them and "
        f"{_difference(facts, 'random'):+.3f} for random ones; like teachers give {_difference(facts, 'similar'):+.3f}."
    ),
    removes="“A paper's motive holds in every zoo.”",
    say=lambda facts: (
        f"The paper says: mix unlike teachers. Guess the gain. Here it is {points(facts['outcome']['accuracy'])} ± "
        f"{100 * facts['outcome']['ci95']:.1f} points: none that we can tell. A null result is a result."
    ),
    labs=(Lab(TRAINING, "tgr, its groups and its map, in Meta-training", {"method": "tgr"}),),
    uses=((), (), (), ("by",), ("by",)),
)
