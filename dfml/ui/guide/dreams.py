"""Lesson 2: the weights remember classes; what the class loss and the batch-norm statistics each bring."""

from __future__ import annotations

from dfml.ui.components.line_chart import Level, Line
from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent
from dfml.ui.guide.lesson_files import Facts, sheet
from dfml.ui.guide.stage import Scene, State, curves, pictures
from dfml.ui.widgets.navigation import INVERSION
from dfml.ui.widgets.texts import spaced

CHANCE = 0.2
QUERY = {"zoo": "cifar-fs-conv4", "teacher": "000", "inverter": "pixels"}


def seen(facts: Facts, setting: str, who: str, step: int | None = None) -> float:
    """Share of the pictures in which the own teacher or the judge sees the wanted class, after a step or at the end."""
    values = facts["settings"][setting][who]
    return values[-1 if step is None else facts["frames"].index(step)]


def diversity(facts: Facts, setting: str) -> float:
    """How unlike the pictures of a class are at the end: mean cosine distance of the probe's features."""
    return facts["settings"][setting]["diversity"]


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    setting, frames = choices["setting"], facts["frames"]
    told, tiles, classes = facts["settings"][setting], facts["tiles"], facts["classes"]
    lines = [Line("own teacher", frames, told["own"])]
    if step >= 3:
        lines.append(Line("judge", frames, told["judge"]))
    panels = [
        pictures(
            "pictures", sheet("dreams", setting), count=tiles * len(classes), rows=len(frames), columns=tiles,
            title="a row each: " + ", ".join(map(spaced, classes)),
            alt=f"Pictures recovered from teacher {facts['teacher']}",
        ),
        curves(
            "curves", lines, x="step", y="sees the wanted class", percent=True, reach=(0, 1), until=frames[-1],
            height=300, levels=[Level("guessing", CHANCE)],
            alt="Share of pictures in which a network sees the wanted class",
        ),
    ]  # fmt: skip
    shown = [number for number in frames if step != 2 or number <= 20]
    states = []
    for number in shown:
        place = frames.index(number)
        signs = told["judge_right"][place] if step >= 3 else ""
        states.append(
            State(
                {"pictures": {"frame": place, "signs": signs}, "curves": {"cursor": number}},
                seconds=0.55,
                label=f"step {number} of {frames[-1]}",
            )
        )
    return Scene(panels, states)


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    setting, count = choices["setting"], facts["pictures"] * facts["settings"][choices["setting"]]["teachers"]
    over = f"share of {count} pictures; guessing: {per_cent(CHANCE)}"
    if step == 1:
        return Figure("own teacher sees the class", per_cent(seen(facts, setting, "own")), over)
    if step == 2:
        return Figure("own teacher, after 20 steps", per_cent(seen(facts, setting, "own", 20)), over)
    if step == 3:
        after = per_cent(seen(facts, setting, "judge", 20))
        return Figure(
            "judge sees the class", per_cent(seen(facts, setting, "judge")), f"{over}; after 20 steps {after}"
        )
    formula = f"{over}; diversity inside a class {diversity(facts, setting):.2f}"
    return Figure("judge sees the class", per_cent(seen(facts, setting, "judge")), formula)


def _noise(facts: Facts, _: Choices) -> str:
    return (
        f"Nobody has the pictures that teacher {facts['teacher']} learned from. So begin with blotches, and change "
        "their pixels along the teacher's own gradient, until it sees the class that we want in each."
    )


def _convinced(facts: Facts, choices: Choices) -> str:
    return (
        f"After 20 steps the teacher says yes to {per_cent(seen(facts, choices['setting'], 'own', 20))} of the "
        "pictures. Look at them: would you?"
    )


def _judge(facts: Facts, choices: Choices) -> str:
    setting = choices["setting"]
    return (
        "A second network, the judge, knows the same classes, and nobody optimises for it. After 20 steps it agrees "
        f"for {per_cent(seen(facts, setting, 'judge', 20))}, in the end for {per_cent(seen(facts, setting, 'judge'))}. "
        "Solid borders are pictures that it takes for the wanted class."
    )


def _without_statistics(facts: Facts, _: Choices) -> str:
    return (
        "Leave out the batch-norm statistics, averages that the teacher kept while it learned. The judge still sees "
        f"the class in {per_cent(seen(facts, 'no-statistics', 'judge'))}, but pictures of a class are now nearly "
        f"clones: diversity {diversity(facts, 'no-statistics'):.2f} instead of {diversity(facts, 'both'):.2f}."
    )


def _without_class(facts: Facts, _: Choices) -> str:
    return (
        f"Leave out the class loss instead: as diverse as before ({diversity(facts, 'no-class'):.2f}), and no class at "
        f"all. The judge sees it in {per_cent(seen(facts, 'no-class', 'judge'))}, which is guessing. So the class sits "
        "in the weights, and the statistics bring variety."
    )


def _untrained(facts: Facts, _: Choices) -> str:
    return (
        "The same with a teacher that was never trained. It, too, can be convinced "
        f"({per_cent(seen(facts, 'untrained', 'own'))}), but of nothing: the judge stays at "
        f"{per_cent(seen(facts, 'untrained', 'judge'))}."
    )


LESSON = Lesson(
    name="dreams",
    short="Dreams",
    title="Weights remember classes, not pictures",
    idea="From noise, follow the teacher's gradient: a class appears, and no photograph.",
    steps=(
        Step("Out of noise", _noise, {"setting": "both"}),
        Step("The teacher is convinced", _convinced, {"setting": "both"}),
        Step("A second opinion", _judge, {"setting": "both"}),
        Step("Statistics off", _without_statistics, {"setting": "no-statistics"}),
        Step("Class loss off", _without_class, {"setting": "no-class"}),
        Step("An untrained teacher", _untrained, {"setting": "untrained"}),
    ),
    choices=(
        Choice(
            "setting",
            "Recovered with",
            {
                "both": "both terms",
                "no-statistics": "statistics off",
                "no-class": "class loss off",
                "untrained": "untrained teacher",
            },
        ),
    ),
    scene=scene,
    figure=figure,
    question="Who is convinced first, the teacher or the judge?",
    answer=lambda facts: (
        f"The teacher itself: {per_cent(seen(facts, 'both', 'own', 20))} after 20 steps, where the judge sees the "
        f"class in {per_cent(seen(facts, 'both', 'judge', 20))}."
    ),
    removes="“99 % sure means recovered.”",
    say=lambda facts: (
        "We ask the network what would please it. After twenty steps it is delighted; a second one is not. Without "
        f"the statistics the second one still sees the class in {per_cent(seen(facts, 'no-statistics', 'judge'))}, "
        "always in nearly the same picture."
    ),
    labs=(
        Lab(INVERSION, "Do it on the Inversion page", QUERY),
        Lab(INVERSION, "Two settings side by side there", {**QUERY, "inverter2": "pixels"}),
    ),
)
