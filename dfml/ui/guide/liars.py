"""Lesson 7: deceptive teachers report better scores; a few labelled pictures expose their features."""

from __future__ import annotations

from itertools import product

from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent, points
from dfml.ui.guide.lesson_files import Facts
from dfml.ui.guide.stage import Bar, Dot, Scene, State, bars, dot_places, dots
from dfml.ui.widgets.navigation import TRAINING, ZOO

KINDS = ("clean", "ood", "fake")
GROUPS = ("honest", "of another domain", "untrained")


def value(teacher: dict, axis: str) -> float:
    """A teacher's place on an axis: what it reports, or what its features are worth in the first draw."""
    return teacher["reported"] if axis == "reported" else teacher["worth"][0]


def auc(facts: Facts, rate: str, axis: str) -> float | None:
    """Chance that an honest teacher lies above a deceptive one; None where there is none."""
    teachers = facts["teachers"][rate]
    honest = [value(t, axis) for t in teachers if t["kind"] == "clean"]
    others = [value(t, axis) for t in teachers if t["kind"] != "clean"]
    pairs = list(product(honest, others))
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs) if pairs else None


def reach(facts: Facts, rate: str, kind: str) -> tuple[float, float] | None:
    """Least and greatest worth of one kind of teachers over all draws; None where there is none."""
    found = [w for t in facts["teachers"][rate] if t["kind"] == kind for w in t["worth"][:1]]
    return (min(found), max(found)) if found else None


def _places(facts: Facts, rate: str, axis: str, coloured: bool) -> tuple[list[Dot], tuple[str, str, str, str], str]:
    every = [t for teachers in facts["teachers"].values() for t in teachers]
    low, high = (f(value(t, axis) for t in every) for f in (min, max))
    teachers, found = facts["teachers"][rate], []
    for number, teacher in enumerate(teachers):
        kind = KINDS.index(teacher["kind"]) if coloured else -1
        # The height only keeps points apart: the order in the zoo, in five rows.
        height = 0.1 + 0.2 * (number % 5)
        place = (value(teacher, axis) - low) / (high - low)
        told = f"{teacher['id']}: reports {per_cent(teacher['reported'], 1)}, worth {per_cent(teacher['worth'][0], 1)}"
        found.append(Dot(place, height, kind, told))
    words = {"reported": "reported accuracy", "measured": "measured: its features on new classes"}
    return found, (per_cent(low), per_cent(high), "", ""), words[axis]


def cloud(facts: Facts, rate: str, axis: str, *, coloured: bool, slides: bool) -> Scene:
    """Teachers along an axis, in the colours of the truth or grey; with ``slides`` they come from the other axis."""

    def panel_at(which: str) -> dict:
        found, ends, words = _places(facts, rate, which, coloured)
        return dot_places(found, x=words, ends=ends)

    other = "reported" if axis == "measured" else "measured"
    first = panel_at(other if slides else axis)
    panel = dots(
        "teachers", [], x="", y="", ends=("", "", "", ""), groups=GROUPS if coloured else (),
        alt="Teachers along an axis of accuracy", title="each point is a teacher; rows only keep them apart",
    )  # fmt: skip
    states = [State({"teachers": first}, seconds=0.9)]
    if slides:
        states.append(State({"teachers": panel_at(axis)}, seconds=1.5))
    return Scene([panel], states)


def gain_bars(facts: Facts) -> list[Bar]:
    """Points that learned weights gain in training, by the share of deceptive teachers."""
    rows = facts["training"]["rates"]
    return [
        Bar(f"{rate} % deceptive", row["gain"], f"{points(row['gain'])} ± {100 * row['ci95']:.1f}", half=row["ci95"])
        for rate, row in rows.items()
    ]


def distrusted(facts: Facts, rate: str) -> list[tuple[int, int]]:
    """Of the committed table: distrusted, and of how many, for honest and, where there are any, deceptive teachers."""
    found = facts["training"]["rates"][rate]["distrusted"].split(",")
    return [(int(each.split()[0]), int(each.split()[2])) for each in found]


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    rate, axis = choices["share"], choices["axis"]
    if step == 4:
        high = max(row["gain"] + row["ci95"] for row in facts["training"]["rates"].values())
        low = min(row["gain"] - row["ci95"] for row in facts["training"]["rates"].values())
        title = "points gained by trusting measured teachers more, ± 95 %"
        return Scene([bars("gain", gain_bars(facts), low=low, high=high, title=title, alt="Points gained", widest=720)])
    if step == 5:
        rows = []
        for number in facts["training"]["rates"]:
            for name, (count, of), group in zip(
                ("honest", "deceptive"), distrusted(facts, number), (0, 1), strict=False
            ):
                rows.append(Bar(f"{name}, {number} % deceptive", count / of, f"{count} of {of}", group=group))
        title = "teachers that end distrusted"
        return Scene([bars("distrusted", rows, high=1, title=title, alt="Teachers that end distrusted", widest=720)])
    return cloud(facts, rate, axis, coloured=step > 1, slides=step == 3)


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    rate, axis = choices["share"], choices["axis"]
    if step == 4:
        row = facts["training"]["rates"]["60"]
        formula = f"± {100 * row['ci95']:.1f}, {row['seeds']} seeds, paired, by `bench pollution`"
        return Figure("gained at 60 %", f"{points(row['gain'])} points", formula)
    if step == 5:
        (count, of), *_ = distrusted(facts, "0")
        return Figure("honest, yet distrusted", f"{count} of {of}", "in zoos without deceit, by `bench pollution`")
    teachers = facts["teachers"][rate]
    honest = sum(t["kind"] == "clean" for t in teachers)
    if step == 1:
        return Figure("teachers", str(len(teachers)), f"{honest} honest, {len(teachers) - honest} deceptive")
    found = auc(facts, rate, axis)
    formula = (
        f"AUC: chance that an honest teacher lies above a deceptive one, {honest} × {len(teachers) - honest} pairs"
    )
    return Figure(f"AUC, {axis}", "–" if found is None else f"{found:.2f}", formula)


def _guess(facts: Facts, choices: Choices) -> str:
    teachers = facts["teachers"][choices["share"]]
    bad = sum(t["kind"] != "clean" for t in teachers)
    return (
        f"{len(teachers)} teachers, each with the accuracy that it reports. {bad} of them deceive: trained on "
        "something else, or not at all, under false names. Point at those that you would send away."
    )


def _truth(facts: Facts, choices: Choices) -> str:
    found = auc(facts, choices["share"], "reported")
    if found is None:
        return "In this zoo nobody deceives."
    return (
        f"The truth in colour. By reported accuracy an honest teacher lies above a deceptive one in {per_cent(found)} "
        "of the pairs: less often than by tossing a coin. Deceivers report what pleases."
    )


def _axis(facts: Facts, choices: Choices) -> str:
    rate = choices["share"]
    found, honest = auc(facts, rate, "measured"), reach(facts, rate, "clean")
    bad = [r for kind in KINDS[1:] if (r := reach(facts, rate, kind))]
    if found is None or honest is None or not bad:
        return "In this zoo nobody deceives."
    return (
        f"Now look at their features instead: {facts['episodes']} small exams on labelled pictures of new classes. "
        f"Honest teachers get {per_cent(honest[0])} to {per_cent(honest[1])}, the others "
        f"{per_cent(min(r[0] for r in bad))} to {per_cent(max(r[1] for r in bad))}: AUC {found:.2f}."
    )


def _gain(facts: Facts, _: Choices) -> str:
    rows = facts["training"]["rates"]
    told = {rate: f"{points(row['gain'])} ± {100 * row['ci95']:.1f}" for rate, row in rows.items()}
    return (
        f"Does training gain by it? With 60 % deceptive teachers {told['60']} points, with 40 % {told['40']}: that "
        f"interval holds 0, so it stays open. And the exams need labelled real pictures: strictly data-free it is not."
    )


def _price(facts: Facts, _: Choices) -> str:
    count, of = distrusted(facts, "0")[0]
    row = facts["training"]["rates"]["0"]
    return (
        f"In a zoo where nobody deceives, {count} of {of} honest teachers end distrusted all the same. Accuracy does "
        f"not suffer that one could tell: {points(row['gain'])} ± {100 * row['ci95']:.1f} points."
    )


def _sign(facts: Facts) -> str:
    return f"{auc(facts, '40', 'reported'):.2f} by reports, {auc(facts, '40', 'measured'):.2f} by features"


LESSON = Lesson(
    name="liars",
    short="Liars",
    title="Polluted zoos",
    idea="Deceivers report better scores; a few labelled pictures expose their features.",
    steps=(
        Step("Who deceives?", _guess, {"axis": "reported", "share": "40"}),
        Step("The truth", _truth, {"axis": "reported", "share": "40"}),
        Step("The other axis", _axis, {"axis": "measured", "share": "40"}),
        Step("What training gains", _gain, {"axis": "measured", "share": "60"}),
        Step("The price in a clean zoo", _price, {"axis": "measured", "share": "0"}),
    ),
    choices=(
        Choice("axis", "Axis", {"reported": "reported", "measured": "measured"}),
        Choice("share", "Deceptive", {"0": "0 %", "40": "40 %", "60": "60 %"}),
    ),
    scene=scene,
    figure=figure,
    question="Which axis fools you?",
    answer=lambda facts: f"The reported one: AUC {_sign(facts)}, with 40 % deceptive teachers.",
    removes="“A high reported accuracy is evidence.”",
    say=lambda facts: (
        f"Pick the deceivers by score. Wrong: you fired the honest ones. {facts['episodes']} exams part them cleanly. "
        f"But exams need real pictures, and in a clean zoo {distrusted(facts, '0')[0][0]} of "
        f"{distrusted(facts, '0')[0][1]} good ones are distrusted."
    ),
    labs=(
        Lab(ZOO, "Hide deceptive teachers in a copy, on the Model zoo page", {"zoo": "cifar-fs-conv4"}),
        Lab(TRAINING, "teapot, which weighs teachers, in Meta-training", {"method": "teapot"}),
    ),
    uses=(("share",), ("axis", "share"), ("axis", "share"), (), ()),
)
