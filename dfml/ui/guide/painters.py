"""Lesson 3: free pixels, a generator, and a meta-generator that has practised on other teachers."""

from __future__ import annotations

from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent, share_bar
from dfml.ui.guide.lesson_files import Facts, sheet
from dfml.ui.guide.stage import Bar, Scene, State, bar_values, bars, pictures
from dfml.ui.widgets.navigation import INVERSION
from dfml.ui.widgets.texts import counted

NAMES = {"pixels": "pixels", "generator": "generator", "meta-generator": "meta-generator", "cold": "meta, no practice"}
STEPS = (1, 2, 3, 4, 5, 20, 50, 200)
COUNTS = ("1", "3", "5", "7", "10", "20")


def judged(facts: Facts, painter: str, step: int) -> float:
    """Share of pictures in which the judge sees the wanted class after a step, or after the last before it."""
    told = facts["painters"][painter]
    done = [value for at, value in zip(told["steps"], told["judge"], strict=True) if at <= step]
    return done[-1]


def seconds_for(facts: Facts, painter: str, teachers: int) -> float:
    """Seconds for so many teachers, practice included, by the committed table."""
    row = facts["bill"]["rows"][painter]
    return (row["warm_up_seconds"] or 0.0) + teachers * row["seconds"]


def pays_from(facts: Facts, other: str) -> int:
    """The number of teachers from which the meta-generator, practice included, takes less time than another."""
    return next(n for n in range(1, 1000) if seconds_for(facts, "meta-generator", n) < seconds_for(facts, other, n))


def _race(facts: Facts, shown: list[str]) -> Scene:
    count = facts["tiles"] * len(facts["classes"])
    panels = [
        pictures(
            name, sheet("painters", name), count=count, rows=len(facts["painters"][name]["frames"]),
            columns=facts["tiles"], title=NAMES[name], alt=f"Pictures by {NAMES[name]}", widest=200,
        )
        for name in shown
    ]  # fmt: skip
    most = max(facts["painters"][name]["frames"][-1] for name in shown)
    states, numbers = [], [step for step in STEPS if step <= most]
    for step in numbers:
        changes: dict = {}
        for name in shown:
            frames = facts["painters"][name]["frames"]
            place = max(i for i, at in enumerate(frames) if at <= step)
            done = " · done" if step >= frames[-1] and step < most else ""
            changes[name] = {"frame": place, "title": f"{NAMES[name]}, step {frames[place]}{done}"}
        changes["judge"] = bar_values(_judge_bars(facts, shown, step))
        states.append(State(changes, seconds=0.8, label=f"step {step}"))
    judge = bars(
        "judge", _judge_bars(facts, shown, 1), high=1, title="the judge sees the class in",
        alt="Share of pictures in which the judge sees the wanted class",
    )  # fmt: skip
    return Scene([*panels, judge], states)


def _judge_bars(facts: Facts, shown: list[str], step: int) -> list[Bar]:
    return [share_bar(NAMES[name], judged(facts, name, step), place) for place, name in enumerate(shown)]


def _bill(facts: Facts, teachers: int) -> Scene:
    numbers = [n for n in map(int, COUNTS) if n <= teachers]
    high = max(seconds_for(facts, name, teachers) for name in facts["bill"]["rows"])

    def rows(count: int) -> list[Bar]:
        found = [(name, seconds_for(facts, name, count)) for name in facts["bill"]["rows"]]
        return [Bar(NAMES[n], value, f"{value:.0f} s", group=i) for i, (n, value) in enumerate(found)]

    panel = bars("bill", rows(1), high=high, alt="Seconds with practice", widest=720)
    states = [
        State(
            {"bill": {**bar_values(rows(n)), "title": f"seconds for {counted(n, 'teacher')}, practice included"}},
            seconds=0.9,
            label=counted(n, "teacher"),
        )
        for n in numbers
    ]
    return Scene([panel], states)


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    meta = "meta-generator" if choices["practice"] == "yes" else "cold"
    if step == 5:
        return _bill(facts, int(choices["teachers"]))
    return _race(facts, {1: ["pixels"], 2: ["pixels", "generator"], 3: [meta]}.get(step, ["pixels", "generator", meta]))


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    meta = "meta-generator" if choices["practice"] == "yes" else "cold"
    over = f"judge, mean of teachers {', '.join(facts['judged'])}; guessing: 20 %"
    if step == 1:
        return Figure("pixels, after 200 steps", per_cent(judged(facts, "pixels", 200)), over)
    if step == 2:
        return Figure("generator, after 200 steps", per_cent(judged(facts, "generator", 200)), over)
    if step == 3:
        return Figure(f"{NAMES[meta]}, after 5 steps", per_cent(judged(facts, meta, 5)), over)
    if step == 4:
        others = f"pixels {per_cent(judged(facts, 'pixels', 5))}, generator {per_cent(judged(facts, 'generator', 5))}"
        return Figure(f"{NAMES[meta]}, after 5 steps", per_cent(judged(facts, meta, 5)), f"{over}; {others}")
    count = int(choices["teachers"])
    row = facts["bill"]["rows"]["meta-generator"]
    formula = (
        f"{row['warm_up_seconds']:.0f} s + {count} × {row['seconds']:.2f} s; pixels: {count} × "
        f"{facts['bill']['rows']['pixels']['seconds']:.1f} s = {seconds_for(facts, 'pixels', count):.0f} s"
    )
    words = f"{seconds_for(facts, 'meta-generator', count):.0f} s"
    return Figure(f"meta-generator, {counted(count, 'teacher')}", words, formula)


def _free(facts: Facts, _: Choices) -> str:
    return (
        "Every pixel of every picture is free. It works, but each teacher begins anew: after 5 steps the judge sees "
        f"the class in {per_cent(judged(facts, 'pixels', 5))}, after 200 in {per_cent(judged(facts, 'pixels', 200))}."
    )


def _painter(facts: Facts, _: Choices) -> str:
    return (
        "A generator paints all pictures with one small network, so what it learns for one serves the others: "
        f"{per_cent(judged(facts, 'generator', 5))} after 5 steps, {per_cent(judged(facts, 'generator', 200))} after "
        "200."
    )


def _practice(facts: Facts, _: Choices) -> str:
    told = facts["painters"]["meta-generator"]
    return (
        f"Let a painter practise on {told['warm_up_teachers']} other teachers first, {told['warm_up_steps']} rounds. "
        f"For a teacher that it never met it then needs 5 steps: {per_cent(judged(facts, 'meta-generator', 5))}. The "
        f"same painter without practice: {per_cent(judged(facts, 'cold', 5))}."
    )


def _side_by_side(facts: Facts, _: Choices) -> str:
    meta, pixels, generator = (
        judged(facts, name, step) for name, step in (("meta-generator", 5), ("pixels", 200), ("generator", 200))
    )
    better = "the best" if meta > max(pixels, generator) else "not the best"
    return (
        f"All three on the same teacher. At step 5 one of them is done. It is fast, and {better} in the end: "
        f"{per_cent(meta)} against {per_cent(pixels)} and {per_cent(generator)}."
    )


def _costs(facts: Facts, _: Choices) -> str:
    rows = facts["bill"]["rows"]
    return (
        f"Five steps take {rows['meta-generator']['seconds']:.2f} s, 200 steps on pixels "
        f"{rows['pixels']['seconds']:.1f} s. But the practice took {rows['meta-generator']['warm_up_seconds']:.0f} s. "
        f"It pays from the {pays_from(facts, 'generator')}th teacher on against the generator, from the "
        f"{pays_from(facts, 'pixels')}th against pixels."
    )


def _answer(facts: Facts) -> str:
    meta, pixels = (seconds_for(facts, name, 5) for name in ("meta-generator", "pixels"))
    return f"{'No' if meta > pixels else 'Yes'}: {meta:.0f} s against {pixels:.0f} s."


LESSON = Lesson(
    name="painters",
    short="Painters",
    title="Pixels, generator, meta-generator",
    idea="A painter who has practised on other teachers needs 5 steps, not 200.",
    steps=(
        Step("Free pixels", _free),
        Step("A painter", _painter),
        Step("Practice elsewhere", _practice, {"practice": "yes"}),
        Step("A new teacher, five steps", _side_by_side, {"practice": "yes"}),
        Step("The bill", _costs, {"teachers": "5"}),
    ),
    choices=(
        Choice("practice", "Practice on others", {"yes": "yes", "no": "no"}),
        Choice("teachers", "Teachers to recover from", {count: count for count in COUNTS}),
    ),
    scene=scene,
    figure=figure,
    question="You have five teachers. Does the practice pay against pixels?",
    answer=_answer,
    removes="“Five steps” is all that it costs.",
    say=lambda facts: (
        "Pixels one by one are slow. A painter who has practised elsewhere needs five strokes. Then read the bill: "
        f"{facts['bill']['rows']['meta-generator']['warm_up_seconds']:.0f} seconds of practice."
    ),
    labs=(
        Lab(
            INVERSION,
            "All three side by side on the Inversion page",
            {
                "zoo": "cifar-fs-conv4",
                "teacher": "000",
                "inverter": "pixels",
                "inverter2": "generator",
                "inverter3": "meta-generator",
            },
        ),
    ),
    uses=((), (), ("practice",), ("practice",), ("teachers",)),
)
