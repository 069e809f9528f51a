"""Lesson 1: many narrow experts see together what none of them knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfml.ui.components.line_chart import Level, Line
from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent
from dfml.ui.guide.lesson_files import Facts, sample_sheet
from dfml.ui.guide.stage import Dot, Scene, State, cells, curves, dot_places, dots, pictures
from dfml.ui.widgets.navigation import TRAINING, ZOO
from dfml.ui.widgets.texts import spaced

CHANCE = 0.2
COUNTS = ("1", "2", "5", "10", "20", "50", "100")
LONG = (
    "cater|pillar",
    "cock|roach",
    "kanga|roo",
    "key|board",
    "mush|room",
    "porcu|pine",
    "sky|scraper",
    "street|car",
    "sun|flower",
)
"""Where long names may be parted in a narrow cell: browsers know no hyphenation of them all."""
PARTED = {word.replace("|", ""): word.replace("|", "\u00ad") for word in LONG}
FILLED = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 26, 33, 42, 52, 65, 80, 100)


def known_classes(facts: Facts, count: int) -> int:
    """How many classes the first ``count`` teachers of the zoo know together."""
    return len({c for teacher in facts["teachers"][:count] for c in teacher["classes"]})


def together(facts: Facts, count: int) -> float:
    """Accuracy of the features of ``count`` teachers side by side, mean of several orders."""
    return facts["accuracy"][count - 1]


def gain_share(facts: Facts, count: int) -> float:
    """Share of the gain from one teacher to all that ``count`` of them bring."""
    first, last = facts["accuracy"][0], facts["accuracy"][-1]
    return (together(facts, count) - first) / (last - first)


def slope(facts: Facts) -> float:
    """Correlation of reported accuracy with what a teacher's features are worth on new classes."""
    reported, alone = (np.array([t[name] for t in facts["teachers"]]) for name in ("reported", "alone"))
    return float(np.corrcoef(reported, alone)[0, 1])


def best_reported(facts: Facts) -> dict:
    """The teacher that reports the highest accuracy."""
    return max(facts["teachers"], key=lambda teacher: teacher["reported"])


def counts(facts: Facts, count: int) -> list[int]:
    """For each class how many of the first ``count`` teachers know it."""
    found = [0] * len(facts["classes"])
    for teacher in facts["teachers"][:count]:
        for number in teacher["classes"]:
            found[number] += 1
    return found


def cell_names(facts: Facts) -> list[str]:
    """The names of all classes, as they stand in cells."""
    return [PARTED.get(name, spaced(name)) for name in facts["classes"]]


def _map(facts: Facts, shown: Sequence[int]) -> Scene:
    names = cell_names(facts)
    total = len(facts["teachers"])
    numbers = list(range(1, total + 1))
    half = facts["deviation"]
    line = Line("new classes", numbers, facts["accuracy"], band=half)
    panels = [
        cells("map", names, teachers=total, known=0, counts=[0] * len(names), alt="Classes that the teachers know"),
        curves(
            "curve", [line], x="teachers", y="accuracy", percent=True, cursor=shown[0],
            levels=[Level("guessing", CHANCE)], alt="Accuracy on new classes by the number of teachers",
        ),
    ]  # fmt: skip
    states = [
        State(
            {
                "map": {
                    "known": k,
                    "counts": counts(facts, k),
                    "title": f"{known_classes(facts, k)} of {len(names)} classes known",
                },
                "curve": {"cursor": k, "title": f"{per_cent(together(facts, k), 1)} right on new classes"},
            },
            seconds=0.45,
            label=f"{k} of {total} teachers" if k > 1 else f"1 of {total} teachers",
        )
        for k in shown
    ]
    return Scene(panels, states)


def _single(facts: Facts) -> Scene:
    """The classes of the first teacher light up one by one."""
    scene = _map(facts, (1,))
    state, first = scene.states[0], facts["teachers"][0]["classes"]
    states = []
    for number in range(len(first) + 1):
        counts = [int(i in first[:number]) for i in range(len(facts["classes"]))]
        title = f"{number} of {len(counts)} classes known"
        changes = {**state.changes, "map": {"known": 1, "counts": counts, "title": title}}
        states.append(State(changes, seconds=0.35, label=f"{number} of its {len(first)} classes"))
    return Scene(scene.panels, states)


def _strangers(facts: Facts) -> Scene:
    told, names = facts["strangers"], facts["teachers"][0]["classes"]
    words = []
    for label, answers in zip(told["classes"], told["answers"], strict=True):
        best = int(np.argmax(answers))
        words.append(f"{spaced(label)}: {spaced(facts['classes'][names[best]])} {per_cent(answers[best])}")
    panel = pictures(
        "strangers", sample_sheet(told["split"], told["positions"]), count=len(words), rows=1, columns=9, words=words,
        title=f"What teacher {told['teacher']} answers to pictures of classes that it does not know",
        alt="One picture of each new class, with the teacher's answer", widest=760,
    )  # fmt: skip
    return Scene([panel])


def _scatter(facts: Facts, order: str) -> Scene:
    teachers = facts["teachers"]
    low, high = (f(t["alone"] for t in teachers) for f in (min, max))
    least, most = (f(t["reported"] for t in teachers) for f in (min, max))
    ends = {
        "number": ("000", teachers[-1]["id"], per_cent(low), per_cent(high)),
        "reported": (per_cent(least), per_cent(most), per_cent(low), per_cent(high)),
    }
    words = {"number": "number in the zoo", "reported": "reported accuracy"}

    def places(by: str) -> list[Dot]:
        return [
            Dot(
                (t["reported"] - least) / (most - least) if by == "reported" else i / (len(teachers) - 1),
                (t["alone"] - low) / (high - low),
                0,
                f"{t['id']}: reports {per_cent(t['reported'], 1)}, worth {per_cent(t['alone'], 1)}",
            )
            for i, t in enumerate(teachers)
        ]

    first, last = ("number", "reported") if order == "reported" else ("reported", "number")
    panel = dots(
        "teachers", places(first), x=words[first], y="accuracy of its features on new classes", ends=ends[first],
        alt="Each teacher by what it reports and what its features are worth",
    )  # fmt: skip
    moved = dot_places(places(last), x=words[last], ends=ends[last])
    return Scene([panel], [State(seconds=0.9), State({"teachers": moved}, seconds=1.4)])


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    if step == 1:
        return _single(facts) if choices["k"] == "1" else _map(facts, (int(choices["k"]),))
    if step == 2:
        return _strangers(facts)
    if step == 5:
        return _scatter(facts, choices["order"])
    count = int(choices["k"])
    before = 10 if step == 4 else 1
    shown = [k for k in FILLED if before <= k <= count] or [count]
    return _map(facts, shown if shown[-1] == count else [*shown, count])


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    if step == 2:
        formula = (
            f"mean highest probability of {facts['sure_teachers']} teachers; on noise "
            f"{per_cent(facts['sure_of_noise'])}"
        )
        return Figure("sure of classes it never saw", per_cent(facts["sure_of_unknown"]), formula)
    if step == 5:
        formula = (
            f"correlation of reported and measured accuracy over {len(facts['teachers'])} teachers; 1: a line, 0: none"
        )
        return Figure("correlation r", f"{slope(facts):+.2f}", formula)
    count = int(choices["k"])
    whose = "one teacher" if count == 1 else f"{count} teachers side by side"
    formula = (
        f"nearest centroid over the features of {whose}, {facts['episodes']} episodes, mean of "
        f"{facts['orders']} orders; guessing: 20 %"
    )
    return Figure("right on new classes", per_cent(together(facts, count), 1), formula)


def _one(facts: Facts, _: Choices) -> str:
    first = facts["teachers"][0]
    names = ", ".join(spaced(facts["classes"][c]) for c in first["classes"])
    return (
        f"Teacher {first['id']} knows {names}, and nothing else. Yet its features tell apart classes that it never "
        f"met, far better than guessing: {per_cent(first['alone'])} for this one, {per_cent(together(facts, 1))} on "
        "average."
    )


def _foreign(facts: Facts, _: Choices) -> str:
    return (
        "Show it something else, and it is sure all the same: it has no way to say “none of mine”. A confident answer "
        f"is no knowledge. Even noise gets {per_cent(facts['sure_of_noise'])}."
    )


def _ten(facts: Facts, _: Choices) -> str:
    return (
        f"Put the features of ten teachers side by side. Together they know {known_classes(facts, 10)} classes, and on "
        f"new ones they are right {per_cent(together(facts, 10), 1)} of the time: {per_cent(gain_share(facts, 10))} of "
        "all that can be gained."
    )


def _hundred(facts: Facts, _: Choices) -> str:
    return (
        f"All {len(facts['teachers'])} know {known_classes(facts, 100)} classes, and bring "
        f"{100 * (together(facts, 100) - together(facts, 20)):.1f} points more than twenty."
    )


def _reports(facts: Facts, _: Choices) -> str:
    best, mean = best_reported(facts), float(np.mean([t["alone"] for t in facts["teachers"]]))
    place = "below" if best["alone"] < mean else "above"
    return (
        "Order the teachers by the accuracy that they report: the cloud has no slope. The one with the best report "
        f"({per_cent(best['reported'], 1)}) is worth {per_cent(best['alone'], 1)} on new classes, {place} the mean of "
        f"{per_cent(mean, 1)}."
    )


LESSON = Lesson(
    name="experts",
    short="A zoo",
    title="A zoo: many narrow experts",
    idea="Each teacher knows five classes; together they see more than any one.",
    steps=(
        Step("One teacher", _one, {"k": "1"}),
        Step("A foreign picture", _foreign, {"k": "1"}),
        Step("Ten teachers", _ten, {"k": "10"}),
        Step("A hundred", _hundred, {"k": "100"}),
        Step("Does the report tell?", _reports, {"k": "100", "order": "reported"}),
    ),
    choices=(
        Choice("k", "Teachers", {count: count for count in COUNTS}),
        Choice("order", "Order by", {"number": "number", "reported": "reported accuracy"}),
    ),
    scene=scene,
    figure=figure,
    question="How many teachers bring most of the gain?",
    answer=lambda facts: (
        f"About ten: {per_cent(gain_share(facts, 10))} of the gain from one to a hundred; twenty bring "
        f"{per_cent(gain_share(facts, 20))}."
    ),
    removes="“The most accurate teacher is the most useful one.”",
    say=lambda facts: (
        "A hundred strangers. Each learned five things and swears that anything is one of them, even noise. Ten side "
        "by side tell apart things that none has seen. Reported scores say nothing about that: r = "
        f"{slope(facts):+.2f}."
    ),
    labs=(
        Lab(ZOO, "Meet the teachers on the Model zoo page", {"zoo": "cifar-fs-conv4"}),
        Lab(TRAINING, "Use all teachers at once in Meta-training", {"method": "ensemble-features"}),
    ),
    uses=(("k",), (), ("k",), ("k",), ("order",)),
)
