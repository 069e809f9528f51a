"""Lesson 8: no training picture comes out, and yet classes and membership leak."""

from __future__ import annotations

import numpy as np

from dfml.ui.components.line_chart import Line
from dfml.ui.guide.lesson import Choice, Choices, Figure, Lab, Lesson, Step, per_cent
from dfml.ui.guide.lesson_files import Facts, unpacked
from dfml.ui.guide.stage import Bar, Panel, Scene, State, bars, curves
from dfml.ui.widgets.navigation import INVERSION

BINS, LOSS_BINS = np.linspace(0, 0.4, 33), np.linspace(0, 4, 25)
NAMES = {"recovered": "recovered", "fresh": "fresh real pictures"}


def median(facts: Facts, row: str) -> float:
    """Median distance to the nearest training picture, root mean square difference of pixels."""
    return float(np.median(facts["rows"][row]["distances"]))


def losses(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """The teacher's losses on pictures that it was trained on, and on those that it was not."""
    told = facts["membership"]["losses"]
    return unpacked(told["training"]).astype(float), unpacked(told["held_out"]).astype(float)


def loss_auc(facts: Facts) -> float:
    """Chance that a training picture has the lower loss of two, ties half: 0.5 tells nothing."""
    inside, outside = losses(facts)
    ranks = np.sort(outside)
    above = len(ranks) - np.searchsorted(ranks, inside, side="right")
    equal = np.searchsorted(ranks, inside, side="right") - np.searchsorted(ranks, inside, side="left")
    return float((above + 0.5 * equal).mean() / len(ranks))


def mean_auc(facts: Facts) -> float:
    """The same as mean over all teachers that were asked."""
    return float(np.mean([row["auc"] for row in facts["membership"]["teachers"]]))


def _steps_of(values: np.ndarray, bins: np.ndarray) -> tuple[list[float], list[float]]:
    """A histogram as a line: shares, each over the width of its bin."""
    shares = np.histogram(np.clip(values, bins[0], bins[-1]), bins)[0] / len(values)
    return np.repeat(bins, 2)[1:-1].tolist(), np.repeat(shares, 2).tolist()


def _slide(
    name: str, found: dict[str, np.ndarray], bins: np.ndarray, *, x: str, alt: str, title: str = "", new: str = ""
) -> Scene:
    """Histograms; the newest one grows."""
    lines = {label: _steps_of(values, bins) for label, values in found.items()}

    def grown(growth: float) -> Panel:
        shown = [
            Line(label, at, [v * growth for v in shares] if label == new or not new else shares)
            for label, (at, shares) in lines.items()
        ]
        # A faint outline says what it grows into, and keeps the axis where it is.
        shown += [Line(label, *line, faint=True) for label, line in lines.items() if label == new or not new]
        return curves(
            name, shown, x=x, y="share of pictures", alt=alt, percent=True, until=float(bins[-1]), title=title,
            height=300, width=300, quiet=True,
        )  # fmt: skip

    states = [State({name: {"lines": grown(growth)["lines"]}}, seconds=0.35) for growth in (0.0, 0.4, 0.75, 1.0)]
    panel = grown(1.0)
    return Scene([panel], states)


def scene(facts: Facts, choices: Choices, step: int) -> Scene:
    """Draw a step."""
    rows, noise = facts["rows"], choices["noise"]
    if step == 5 or choices["ask"] == "weights":
        inside, outside = losses(facts)
        return _slide(
            "losses", {"trained on": inside, "held out": outside}, LOSS_BINS, x="loss (4: 4 or more)",
            alt="Losses on training and held-out pictures", title=f"teacher {facts['teacher']}",
        )  # fmt: skip
    if step == 4:
        shown = ["recovered", *(f"copies-{each}" for each in facts["noises"])]
        found = []
        for name in shown:
            row, copied = rows[name], name != "recovered"
            label = f"copies, noise {name.removeprefix('copies-')}" if copied else "recovered"
            words = f"{row['twice_as_near']} of {row['of']}: {row['verdict']}"
            found.append(Bar(label, row["twice_as_near"] / row["of"], words, group=int(copied)))
        title = "at least twice as near to a training as to any held-out picture: verdict"
        return Scene([bars("verdicts", found, high=1, title=title, alt="Pictures that look like copies", widest=760)])
    parts = {NAMES["recovered"]: np.array(rows["recovered"]["distances"])}
    if step >= 2:
        parts[NAMES["fresh"]] = np.array(rows["fresh"]["distances"])
    if step == 3:
        parts[f"planted copies, noise {noise}"] = np.array(rows[f"copies-{noise}"]["distances"])
    return _slide(
        "distances", parts, BINS, x="distance to the nearest training picture", new=list(parts)[-1],
        alt="Distances to the nearest training picture", title=f"teacher {facts['teacher']}",
    )  # fmt: skip


def figure(facts: Facts, choices: Choices, step: int) -> Figure:
    """Tell the number of a step."""
    rows, noise = facts["rows"], choices["noise"]
    if step == 5 or choices["ask"] == "weights":
        formula = (
            f"AUC by the loss, teacher {facts['teacher']}; 0.5: a coin; mean of {len(facts['membership']['teachers'])} "
            f"teachers {mean_auc(facts):.2f}"
        )
        return Figure("who was in the training", f"{loss_auc(facts):.2f}", formula)
    if step == 4:
        row = rows["recovered"]
        formula = f"of {row['of']}; copies with noise {noise}: {rows[f'copies-{noise}']['twice_as_near']}"
        return Figure("recovered, twice as near", str(row["twice_as_near"]), formula)
    if step == 3:
        formula = (
            f"median distance; recovered {median(facts, 'recovered'):.3f}; verdict "
            f"“{rows[f'copies-{noise}']['verdict']}”"
        )
        return Figure(f"planted copies, noise {noise}", f"{median(facts, f'copies-{noise}'):.3f}", formula)
    formula = f"median of {rows['recovered']['of']}, root mean square difference, 0 to 1"
    if step == 2:
        formula += f"; fresh real pictures {median(facts, 'fresh'):.3f}"
    return Figure("distance, recovered", f"{median(facts, 'recovered'):.3f}", formula)


def _nearest(facts: Facts, _: Choices) -> str:
    row = facts["rows"]["recovered"]
    return (
        f"For each of {row['of']} recovered pictures, how far is the nearest of {facts['training']:,} training "
        f"pictures? The closest lies {min(row['distances']):.3f} away, the median {median(facts, 'recovered'):.3f}. Is "
        "that near?"
    )


def _real(facts: Facts, _: Choices) -> str:
    mine, fresh = median(facts, "recovered"), median(facts, "fresh")
    word = "closer" if fresh < mine else "farther"
    return (
        f"Ask the same of {facts['held_out']} photographs of the same classes that the teacher never saw: {fresh:.3f}. "
        f"They lie {word} than what was recovered ({mine:.3f}). A distance means something beside another."
    )


def _copies(facts: Facts, choices: Choices) -> str:
    noise = choices["noise"]
    row = facts["rows"][f"copies-{noise}"]
    return (
        f"So plant real copies, with noise {noise}, to see whether the measure would notice. It does: "
        f"{row['twice_as_near']} of {row['of']} are twice as near, verdict `{row['verdict']}`."
        if row["twice_as_near"]
        else f"So plant real copies, with noise {noise}, to see whether the measure would notice. So much noise hides "
        f"each single one; the verdict on all of them is `{row['verdict']}`."
    )


def _verdict(facts: Facts, _: Choices) -> str:
    row = facts["rows"]["recovered"]
    return (
        f"On the recovered pictures the verdict is `{row['verdict']}`: {row['twice_as_near']} of {row['of']} look like "
        "a copy. That is no proof: a face in another pose would not be noticed. And the class itself is out (lesson "
        "2)."
    )


def _weights(facts: Facts, _: Choices) -> str:
    row = next(r for r in facts["membership"]["teachers"] if r["teacher"] == facts["teacher"])
    return (
        f"Now ask the weights instead of the pictures. The teacher is right on {per_cent(row['right'][0], 1)} of what "
        f"it was trained on and {per_cent(row['right'][1], 1)} of the rest, and its loss tells who was in: AUC "
        f"{loss_auc(facts):.2f}, {mean_auc(facts):.2f} as mean. A little better than a coin, but better."
    )


LESSON = Lesson(
    name="leaks",
    short="Leaks",
    title="What “data-free” protects",
    idea="No training picture comes out, yet classes and membership still leak.",
    steps=(
        Step("The closest distance", _nearest, {"ask": "pictures"}),
        Step("Real pictures", _real, {"ask": "pictures"}),
        Step("Planted copies", _copies, {"ask": "pictures", "noise": "0.05"}),
        Step("The verdict", _verdict, {"ask": "pictures", "noise": "0.05"}),
        Step("Ask the weights", _weights, {"ask": "weights"}),
    ),
    choices=(
        Choice("noise", "Noise of planted copies", {"0.05": "0.05", "0.1": "0.1", "0.2": "0.2"}),
        Choice("ask", "Ask", {"pictures": "the pictures", "weights": "the weights"}),
    ),
    scene=scene,
    figure=figure,
    question="Which leaks membership, the pictures or the weights?",
    answer=lambda facts: (
        f"The weights: AUC {loss_auc(facts):.2f} by the loss, while {facts['rows']['recovered']['twice_as_near']} of "
        f"{facts['rows']['recovered']['of']} recovered pictures look like a copy."
    ),
    removes="“Data-free means private.”",
    say=lambda facts: (
        "Is this somebody's photo? A fresh photo lies closer. No copy was seen, and that is no proof. Yet the weights "
        f"tell who was in, a little better than a coin: {mean_auc(facts):.2f}."
    ),
    labs=(
        Lab(
            INVERSION,
            "Give your own real pictures on the Inversion page",
            {"zoo": "cifar-fs-conv4", "teacher": "000", "inverter": "pixels"},
        ),
    ),
    uses=((), (), ("noise",), (), ()),
)
