"""The recorded minute: what data-free meta-learning is, in sixty seconds, from the same files as the lessons."""

from __future__ import annotations

from typing import Any

from dfml.core.paths import STUDIO, read_json
from dfml.ui.components.line_chart import Level, Line
from dfml.ui.guide import dreams, experts, leaks, liars, painters, steps
from dfml.ui.guide.lesson import share_bar
from dfml.ui.guide.lesson_files import facts_of, sheet
from dfml.ui.guide.stage import Bar, Scene, State, bar_values, bars, cells, curves, pictures, stage

SECONDS = 60
TABLE = "benchmarks/results/accuracy-cifar-fs-conv4-demo.json"
SHOTS = 5


def draw_minute(key: str) -> None:
    """Play the minute, with captions, pause and a slider; it begins by itself.

    ``BadInput`` where a lesson's file is missing.
    """
    stage(minute_scenes(), key=key, move="minute", timed=True, label="recorded")


def minute_scenes() -> list[Scene]:
    """Return the nine scenes, sixty seconds together."""
    return [_crowd(), _map(), _dream(), _verdict(), _painter(), _episode(), _table(), _liars(), _private()]


def table_row(method: str) -> dict[str, Any]:
    """The row of a method in the committed table: 5 shots, the better of its two transductive columns."""
    rows = read_json(STUDIO / TABLE, "the table of accuracies")["rows"]
    found = [row for row in rows if (row["method"], row["shots"], row["bn"]) == (method, SHOTS, "transductive")]
    return max(found, key=lambda row: row["accuracy"])


def _spread(states: list[State], seconds: float) -> list[State]:
    """The states, each for an equal part of the seconds."""
    return [State(s.changes, seconds / len(states), s.label, s.caption) for s in states]


def _cells(known: int, counts: list[int]) -> dict:
    facts = facts_of("experts")
    return cells(
        "map",
        experts.cell_names(facts),
        teachers=len(facts["teachers"]),
        known=known,
        counts=counts,
        alt="Classes that the teachers know",
    )


def _crowd() -> Scene:
    facts = facts_of("experts")
    total, none = len(facts["teachers"]), [0] * len(facts["classes"])
    states = [State({"map": {"known": round(total * i / 20), "title": "one square a network"}}) for i in range(21)]
    still = State(states[-1].changes, 1.5)
    caption = "A hundred trained networks. No data."
    return Scene([_cells(0, none)], [*_spread(states, 4.5), still], caption)


def _map() -> Scene:
    facts = facts_of("experts")
    total, states = len(facts["teachers"]), []
    for k in experts.FILLED:
        title = f"{experts.known_classes(facts, k)} of {len(facts['classes'])} classes known by {k} of {total}"
        states.append(State({"map": {"known": k, "counts": experts.counts(facts, k), "title": title}}))
    panel = _cells(total, [0] * len(facts["classes"]))
    return Scene([panel], _spread(states, 6), "Each knows only five classes.")


def _dream() -> Scene:
    facts = facts_of("dreams")
    begun = dreams.LESSON.begins(1)
    made = dreams.scene(facts, begun, 1)
    return Scene(made.panels, _spread(list(made.states), 10), "We ask one what it wants to see.")


def _verdict() -> Scene:
    facts = facts_of("dreams")
    told, frames = facts["settings"]["both"], facts["frames"]
    made = dreams.scene(facts, dreams.LESSON.begins(3), 3)
    lines = [Line("own teacher", frames, told["own"]), Line("judge", frames, told["judge"])]
    panel = curves(
        "curves", lines, x="step", y="sees the wanted class", percent=True, until=frames[-1], height=300, reach=(0, 1),
        levels=[Level("guessing", dreams.CHANCE)], alt="Share of pictures in which a network sees the wanted class",
    )  # fmt: skip
    states = _spread(list(made.states), 4.5)
    last = State(states[-1].changes, 1.5)
    return Scene([made.panels[0], panel], [*states, last], "It is convinced. A second one decides.")


def _painter() -> Scene:
    facts = facts_of("painters")
    told, count = facts["painters"]["meta-generator"], facts["tiles"] * len(facts["classes"])
    frames = told["frames"]
    panels = [
        pictures(
            "painter", sheet("painters", "meta-generator"), count=count, rows=len(frames), columns=facts["tiles"],
            alt="Pictures by a painter that has practised on other teachers",
        ),
        bars("seen", [], high=1, title="the judge sees the class in", alt="Share of pictures"),
    ]  # fmt: skip
    states = []
    for place, step in enumerate(frames):
        value = painters.judged(facts, "meta-generator", step)
        change = bar_values([share_bar(f"step {step}", value)])
        states.append(State({"painter": {"frame": place, "title": f"step {step} of {frames[-1]}"}, "seen": change}))
    states = _spread(states, 4)
    return Scene(panels, [*states, State(states[-1].changes, 2)], "A trained painter needs five steps.")


def _episode() -> Scene:
    facts = facts_of("steps")
    made = steps.answers(facts, {"start": "ota", "rate": "0.01", "episode": "1"}, 20)
    states = []
    for state in made.states:
        told = state.changes["queries"] | {"title": state.label}
        states.append(State({**state.changes, "queries": told}))
    spread = _spread(states, 7)
    return Scene(made.panels, [*spread, State(spread[-1].changes, 1)], "Few pictures teach the model new classes.")


def _table() -> Scene:
    names = {"random": "random weights", "distill": "data-free (distill)", "real-data": "with real pictures"}
    measured = {name: table_row(method) for method, name in names.items()}
    found = {name: row["accuracy"] for name, row in measured.items()}
    rows = [share_bar(name, value, (3, 0, 2)[i]) for i, (name, value) in enumerate(found.items())]
    empty = [Bar(row.name, 0, "", group=row.group) for row in rows]
    tasks = measured["random weights"]["episodes"]
    title = f"accuracy over {tasks} tasks of new classes, {SHOTS} pictures each; guessing: 20 %"
    panel = bars("table", empty, high=1, alt="Accuracy on new classes", title=title, widest=760)
    states = []
    for shown in range(1, len(rows) + 1):
        now = bar_values([*rows[:shown], *empty[shown:]])
        states.append(State({"table": now}, 1.0 if shown < len(rows) else 3.5))
    low, free, real = (f"{100 * value:.0f}" for value in found.values())
    caption = f"Random {low}, data-free {free}, real pictures {real}."
    return Scene([panel], [State(seconds=0.5), *states], caption)


def _liars() -> Scene:
    facts = facts_of("liars")
    made = liars.cloud(facts, "40", "measured", coloured=True, slides=True)
    states = [State(state.changes, 3) for state in made.states]
    return Scene(made.panels, states, "Some teachers lie. Their scores look better.")


def _private() -> Scene:
    facts = facts_of("leaks")
    distances = leaks.scene(facts, {"noise": "0.05", "ask": "pictures"}, 2)
    losses = leaks.scene(facts, {"noise": "0.05", "ask": "weights"}, 5)
    states = [State(state.changes, 0.5) for state in distances.states]
    states[-1] = State(states[-1].changes, 1.5)
    states += [State(state.changes, 0.5) for state in losses.states]
    states[-1] = State(states[-1].changes, 1.5)
    return Scene([*distances.panels, *losses.panels], states, "No copies seen. Still not private.")
