"""The table of ``bench accuracy --protocol dro``: the published accuracies beside ours, and what must be known."""

from __future__ import annotations

from dfml.bench.dro_paper.choose_adaptation import EPISODES, SHOT, at_the_edge, candidates_table
from dfml.bench.job import Rows
from dfml.bench.report import grouped, markdown_table, over_seeds, percent
from dfml.bench.study_config import DroProtocolConfig

LABELS = {
    "random": "fine-tune (random)",
    "average": "average (VA)",
    "ota": "ota",
    "dro": "dro, offline",
    "dro online": "dro, online",
}
PUBLISHED = {
    "cifar-fs": {
        "random": {(5, 10): (45.06, 1.4), (5, 20): (48.81, 1.9), (10, 10): (27.86, 1.4), (10, 20): (29.27, 1.6)},
        "average": {(5, 10): (47.95, 1.8), (5, 20): (50.88, 1.6), (10, 10): (34.73, 1.7), (10, 20): (38.03, 1.4)},
        "ota": {(5, 10): (48.09, 1.5), (5, 20): (51.16, 1.5), (10, 10): (35.05, 1.6), (10, 20): (38.25, 1.3)},
        "dro": {(5, 10): (50.42, 1.5), (5, 20): (54.86, 1.2), (10, 10): (36.57, 1.5), (10, 20): (40.52, 1.2)},
        "dro online": {(5, 10): (49.18, 1.2), (5, 20): (53.06, 1.7), (10, 10): (35.41, 1.8), (10, 20): (39.25, 1.2)},
    },
    "mini-imagenet": {
        "random": {(5, 10): (30.25, 1.8), (5, 20): (32.82, 1.6), (10, 10): (17.94, 1.5), (10, 20): (18.40, 1.6)},
        "average": {(5, 10): (35.07, 1.7), (5, 20): (40.34, 1.5), (10, 10): (24.15, 1.2), (10, 20): (28.06, 1.5)},
        "ota": {(5, 10): (35.25, 1.6), (5, 20): (40.58, 1.7), (10, 10): (24.39, 1.7), (10, 20): (28.42, 1.9)},
        "dro": {(5, 10): (37.36, 1.7), (5, 20): (43.67, 1.6), (10, 10): (27.57, 1.9), (10, 20): (32.68, 1.7)},
        "dro online": {(5, 10): (35.89, 1.1), (5, 20): (41.93, 1.8), (10, 10): (26.08, 1.4), (10, 20): (31.19, 1.7)},
    },
}
"""Per cent and standard deviation over five runs."""


def protocol_table(rows: Rows, published: dict[str, dict[tuple[int, int], tuple[float, float]]]) -> str:
    """One line a method: for each number of ways and shots the published accuracy and ours by gradient steps."""
    columns = list(dict.fromkeys((row["way"], row["shots"]) for row in rows))
    ours = grouped([row for row in rows if row["adapt"] == "steps"], "method", "way", "shots", "bn")
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        line = [LABELS.get(method, method)]
        for place in columns:
            known = published.get(method, {}).get(place)
            line.append("–" if known is None else f"{known[0]:.2f} ± {known[1]:.1f}")
            mine = [ours.get((method, *place, bn)) for bn in ("transductive", "inductive")]
            line += [percent(*over_seeds(same)) if same else "–" for same in mine]
        lines.append(dict(enumerate(line)))
    header = [f"{way} ways, {shot} shots: published | transductive | inductive" for way, shot in columns]
    return markdown_table(" | ".join(["method", *header]), " | ".join(f"{{{n}}}" for n in lines[0]), lines)


def choice_tables(candidates: Rows) -> list[str]:
    """The candidates for learning rate and steps of adapting, where they were chosen."""
    text = f"Rate and steps of adapting, on {EPISODES} validation episodes of {SHOT} shots, the best first:"
    return [text, candidates_table(candidates)] if candidates else []


def protocol_notes(
    config: DroProtocolConfig, zoos: dict[int, float], *, width: int, rows: Rows, chosen: Rows
) -> list[str]:
    """What a reader of the table must know.

    Args:
        config: What was asked.
        zoos: Mean held-out accuracy of the teachers of each number of ways.
        width: Filters of the networks.
        rows: Of the table.
        chosen: The candidates for learning rate and steps of adapting; empty where both were given.
    """
    teachers = ", ".join(f"{percent(accuracy)} with {way} classes" for way, accuracy in zoos.items())
    steps, rate = rows[0]["adapt_steps"], rows[0]["inner_lr"]
    return [
        f"Ours: {config.models} teachers a zoo (Conv4, {width} filters), {config.epochs} epochs on the first 60 % of "
        f"each class's images, {'all from the same' if config.same_start else 'each from its own'} first weights; mean "
        f"held-out accuracy {teachers}. ± is the 95 % interval over {config.episodes} episodes of 15 queries a class; "
        "of several seeds that of their mean, by Student's t.",
        "Published: Wang et al., UAI 2022, table 2; 100 teachers, 600 tasks, ± is the standard deviation over 5 runs. "
        "Picture size, epochs, whether teachers share their first weights, and rate and steps at test are not stated "
        "there.",
        f"Here every initialisation is adapted by {steps} gradient steps at rate {rate:g}"
        + (
            ", of the candidates above the one with the highest mean accuracy of random weights and of the average on "
            "validation classes; OTA and DRO were not looked at. Side information of every method, therefore: labelled "
            "validation pictures."
            + (" It is the outermost one that was tried." if at_the_edge(chosen, rate, steps) else "")
            if chosen
            else ", as given."
        )
        + " Heads are fresh unless --set head=average is given.",
    ]
