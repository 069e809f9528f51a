"""Lesson 4: a few support pictures move the model, and how far depends on the rate as much as on the start."""

from __future__ import annotations

import numpy as np

from dfml.ui.components.line_chart import Level, Line
from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent, points, share_bar
from dfml.ui.guide.lesson_files import Facts, sample_sheet
from dfml.ui.guide.stage import Bar, Scene, State, bar_values, bars, curves, pictures
from dfml.ui.widgets.navigation import ADAPTATION, TRAINING
from dfml.ui.widgets.texts import counted, spaced

NAMES = {"random": "random weights", "ota": "ota"}


def accuracy(facts: Facts, start: str, rate: str, steps: int) -> float:
    """Mean accuracy over the episodes after a number of gradient steps."""
    return _curve(facts, start, rate)["accuracy"][facts["steps"].index(steps)]


def gap(facts: Facts, rate: str, steps: int = 10) -> float:
    """How much better the start ``ota`` is than random weights, at a rate."""
    return accuracy(facts, "ota", rate, steps) - accuracy(facts, "random", rate, steps)


def right_after(facts: Facts, choices: Choices, steps: int) -> int:
    """How many queries of the episode that is shown are right after a number of steps, 0 to 20."""
    return _run(facts, choices)["right"][steps]


def _curve(facts: Facts, start: str, rate: str) -> dict:
    return next(c for c in facts["curves"] if (c["start"], str(c["rate"])) == (start, rate))


def _episode(facts: Facts, choices: Choices) -> dict:
    return facts["episodes"][int(choices["episode"]) - 1]


def _run(facts: Facts, choices: Choices) -> dict:
    wanted = (choices["start"], choices["rate"])
    return next(run for run in _episode(facts, choices)["runs"] if (run["start"], str(run["rate"])) == wanted)


def _support(facts: Facts, choices: Choices) -> Scene:
    episode = _episode(facts, choices)
    positions = [place for row in episode["support"] for place in row]
    shot, names = len(episode["support"][0]), [spaced(name) for name in episode["classes"]]
    panels = [
        pictures(
            "support", sample_sheet(episode["split"], positions), count=len(positions), rows=1, columns=shot,
            title="support, a row each: " + ", ".join(names), alt="Support pictures of five classes", widest=330,
        ),
        pictures(
            "queries", sample_sheet(episode["split"], episode["queries"]), count=len(names), rows=1, columns=len(names),
            title="queries: which class is it?", alt="A query picture of each class", widest=420,
        ),
    ]  # fmt: skip
    return Scene(panels)


def answers(facts: Facts, choices: Choices, last: int) -> Scene:
    """Answers to five queries while the model takes steps."""
    episode, run = _episode(facts, choices), _run(facts, choices)
    names = [spaced(name) for name in episode["classes"]]
    count = len(names)

    def at(step: int) -> tuple[list[Bar], str, list[str]]:
        said = np.array(run["answers"][step])
        firsts = said.argmax(1)
        rows = [share_bar(names[i], float(said[i, i])) for i in range(count)]
        return rows, "".join("01"[int(firsts[i] == i)] for i in range(count)), [names[i] for i in firsts]

    rows, signs, words = at(0)
    panels = [
        pictures(
            "queries", sample_sheet(episode["split"], episode["queries"]), count=count, rows=1, columns=count,
            signs=signs, words=words, title="a query of each class, and the model's answer",
            alt="Query pictures with the model's answers", widest=420,
        ),
        bars("sure", rows, high=1, title="probability of the right class", alt="Probability of the right class"),
    ]  # fmt: skip
    states = []
    for step in range(last + 1):
        rows, signs, words = at(step)
        states.append(
            State(
                {"queries": {"signs": signs, "words": words}, "sure": bar_values(rows)},
                seconds=0.9 if last < 3 else 0.45,
                label=f"{counted(step, 'step')}, {run['right'][step]} of {facts['queries']} right",
            )
        )
    return Scene(panels, states)


def _curves(facts: Facts, choices: Choices, centroid: bool) -> Scene:
    rate = choices["rate"]
    lines = []
    for start in ("random", "ota"):
        curve = _curve(facts, start, rate)
        lines.append(Line(NAMES[start], facts["steps"], curve["accuracy"], band=curve["ci95"]))
    levels = [Level("guessing", 0.2)]
    if centroid:
        levels += [
            Level(f"{NAMES[start]} by centroid", _curve(facts, start, rate)["centroid"]) for start in ("random", "ota")
        ]
    panel = curves(
        "curves", lines, x="gradient steps", y="accuracy", percent=True, levels=levels, height=300, width=420,
        title=f"{facts['episodes_measured']} episodes, inner rate {rate}",
        alt="Accuracy by gradient steps for both starts",
    )  # fmt: skip
    gaps = {step: gap(facts, rate, step) for step in facts["steps"]}
    reach = max(abs(gap(facts, r, s)) for r in ("0.01", "0.1") for s in facts["steps"])

    def row(step: int) -> list[Bar]:
        return [Bar("ota less random", gaps[step], f"{points(gaps[step])} points")]

    low = -reach if min(gap(facts, r, s) for r in ("0.01", "0.1") for s in facts["steps"]) < -0.005 else 0.0
    both = bars(
        "gap", row(1), low=low, high=reach, title="between the starts", alt="Difference between the starts", widest=360
    )
    states = [
        State({"curves": {"cursor": s}, "gap": bar_values(row(s))}, label=counted(s, "step"))
        for s in facts["steps"]
        if s <= (20 if centroid else 10)
    ]
    return Scene([panel, both], states)


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    if step == 1:
        return _support(facts, choices)
    if step <= 4:
        return answers(facts, choices, {2: 0, 3: 1, 4: 10}[step])
    return _curves(facts, choices, centroid=step == 6)


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    start, rate, queries = choices["start"], choices["rate"], facts["queries"]
    if step == 1:
        return Figure(
            "queries of this episode", str(queries), f"5 classes × {queries // 5}; guessing: {queries // 5} right"
        )
    if step <= 4:
        steps = {2: 0, 3: 1, 4: 10}[step]
        right = right_after(facts, choices, steps)
        formula = (
            f"of {queries} queries after {steps} steps, from {NAMES[start]}, rate {rate}; guessing: {queries // 5}"
        )
        return Figure("right", f"{right} of {queries}", formula)
    curve = _curve(facts, start, rate)
    if step == 5:
        place = facts["steps"].index(10)
        one, other = (_curve(facts, s, rate) for s in ("ota", "random"))
        halves = f"± {100 * one['ci95'][place]:.1f} and {100 * other['ci95'][place]:.1f}"
        formula = (
            f"{per_cent(one['accuracy'][place], 1)} − {per_cent(other['accuracy'][place], 1)} at rate {rate}, {halves}"
        )
        return Figure("between the starts, 10 steps", f"{points(gap(facts, rate))} points", formula)
    many, half = facts["episodes_measured"], 100 * curve["centroid_ci95"]
    formula = f"{NAMES[start]}, mean of {many} episodes ± {half:.1f}; no step at all"
    return Figure("by nearest centroid", per_cent(curve["centroid"], 1), formula)


def _given(facts: Facts, choices: Choices) -> str:
    episode = _episode(facts, choices)
    return (
        f"An episode: five classes that the model never met, {len(episode['support'][0])} labelled pictures of each, "
        f"the support. With them it is to name {facts['queries']} others, the queries."
    )


def _guess(facts: Facts, choices: Choices) -> str:
    right = right_after(facts, choices, 0)
    return (
        f"Before the first step the outputs mean nothing: {right} of {facts['queries']} are right, where guessing "
        f"gives {facts['queries'] // 5}."
    )


def _first(facts: Facts, choices: Choices) -> str:
    before, after = (right_after(facts, choices, s) for s in (0, 1))
    return (
        f"One gradient step on the support pictures, and the answers move: from {before} to {after} of "
        f"{facts['queries']}."
    )


def _more(facts: Facts, choices: Choices) -> str:
    start, rate = choices["start"], choices["rate"]
    one, ten, twenty = (right_after(facts, choices, s) for s in (1, 10, 20))
    return (
        f"Nine more: {ten} are right, {one} were after one step; after twenty {twenty}. Over all episodes that is "
        f"{per_cent(accuracy(facts, start, rate, 1), 1)}, {per_cent(accuracy(facts, start, rate, 10), 1)} and "
        f"{per_cent(accuracy(facts, start, rate, 20), 1)}."
    )


def _rates(facts: Facts, _: Choices) -> str:
    slow, fast = gap(facts, "0.01"), gap(facts, "0.1")
    best = {start: max(accuracy(facts, start, rate, 20) for rate in ("0.01", "0.1")) for start in ("ota", "random")}
    return (
        f"At rate 0.01 the start `ota` is {100 * slow:.1f} points ahead of random weights after ten steps. Make the "
        f"rate ten times larger, and its lead is {points(fast)}: much of a “better start” was a rate too small. Best "
        f"against best after twenty steps: {per_cent(best['ota'], 1)} and {per_cent(best['random'], 1)}, each ± "
        f"{100 * _curve(facts, 'ota', '0.01')['ci95'][-1]:.1f} or so."
    )


def _centroid(facts: Facts, choices: Choices) -> str:
    rate = choices["rate"]
    ota, random = (_curve(facts, start, rate) for start in ("ota", "random"))
    ten = accuracy(facts, "random", "0.01", 10)
    return (
        f"The same weights without any step: a query gets the class whose mean feature is nearest. Random weights give "
        f"{per_cent(random['centroid'], 1)} so, and {per_cent(ten, 1)} by ten steps at 0.01; ota gives "
        f"{per_cent(ota['centroid'], 1)}. Adapt a model as it was trained, and compare within one column."
    )


LESSON = Lesson(
    name="steps",
    short="Steps",
    title="Episodes and the inner loop",
    idea="A few support pictures move the model; queries tell whether it helped.",
    steps=(
        Step("Five support pictures each", _given, {"start": "ota", "rate": "0.01"}),
        Step("A guess", _guess, {"start": "ota", "rate": "0.01"}),
        Step("One step", _first, {"start": "ota", "rate": "0.01"}),
        Step("Ten steps", _more, {"start": "ota", "rate": "0.01"}),
        Step("Ten times the rate", _rates, {"start": "ota", "rate": "0.1"}),
        Step("The same by centroid", _centroid, {"start": "random", "rate": "0.01"}),
    ),
    choices=(
        Choice("rate", "Inner rate", {"0.01": "0.01", "0.1": "0.1"}),
        Choice("start", "Start", NAMES, "ota: the mean of aligned teachers"),
        Choice("episode", "Episode", {"1": "1", "2": "2", "3": "3"}),
    ),
    scene=scene,
    figure=figure,
    question="Which choice closes the gap between the two starts?",
    answer=lambda facts: (
        f"The rate: a lead of {points(gap(facts, '0.01'))} points at 0.01 becomes {points(gap(facts, '0.1'))} at 0.1, "
        "both after ten steps."
    ),
    removes="“Low accuracy after ten steps means bad features.”",
    say=lambda facts: (
        "Five classes, five pictures each, ten nudges. Make the nudges ten times larger, and random weights catch up: "
        f"a lead of {100 * gap(facts, '0.01'):+.0f} points becomes {points(gap(facts, '0.1'))}. Ask of every table: "
        "which column?"
    ),
    labs=(
        Lab(ADAPTATION, "Adapt to living things by steps", {"set": "living-things", "how": "steps", "steps": "10"}),
        Lab(ADAPTATION, "… and by centroid", {"set": "living-things", "how": "centroid"}),
        Lab(TRAINING, "Make ota in Meta-training", {"method": "ota"}),
    ),
    uses=(
        ("episode",),
        ("rate", "start", "episode"),
        ("rate", "start", "episode"),
        ("rate", "start", "episode"),
        ("rate",),
        ("rate", "start"),
    ),
)
