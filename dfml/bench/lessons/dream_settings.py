"""Lesson 2: what the class loss and the batch-norm statistics each bring to recovered pictures."""

from __future__ import annotations

from collections import deque

import torch

from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.sheets import few_of_each, sheet_of
from dfml.core.seeds import derive_seed
from dfml.inversion.batched import labels_per_class
from dfml.inversion.pixels import Pixels
from dfml.inversion.recipe import Recipe
from dfml.nets.build import build_network
from dfml.reports.quality import agreement, answers, feature_diversity
from dfml.zoo import open_zoo
from dfml.zoo.oracles.base import AutogradOracle
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo

SETTINGS = {"both": {}, "no-statistics": {"bn": 0.0}, "no-class": {"ce": 0.0}, "untrained": {}}
FRAMES = (1, 3, 6, 10, 20, 35, 50, 75, 100, 130, 165, 200)
SHOWN, PER_CLASS, JUDGED = "000", 20, ("000", "001", "002")
TILES = 5
"""Pictures of a class that are shown."""


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Recover by ``pixels`` in each setting; share of pictures that the teacher and its judge see as wanted."""
    zoo, found, sheets = open_zoo(config.zoo), {}, {}
    for name, changes in SETTINGS.items():
        parts = []
        for teacher in JUDGED[:1] if name == "untrained" else JUDGED:
            progress(f"dreams: {name}, teacher {teacher}")
            row, sheet = _recovered(config, zoo, teacher, changes, fresh=name == "untrained")
            parts.append(row)
            if teacher == SHOWN:
                sheets[name] = sheet
                shown = {key: row[key] for key in ("judge_right", "own_right")}
        found[name] = {**_mean(parts), **shown, "teachers": len(parts)}
    card = zoo.card(SHOWN)
    return {
        "what": f"pixels without class loss or batch-norm statistics and with both, {PER_CLASS} pictures a class of "
        f"teachers {', '.join(JUDGED)} (untrained: {SHOWN} with fresh weights)",
        "teacher": SHOWN,
        "judged": list(JUDGED),
        "classes": list(card.classes or ()),
        "pictures": PER_CLASS * card.way,
        "tiles": TILES,
        "frames": list(FRAMES),
        "changes": SETTINGS,
        "settings": found,
    }, sheets


def _recovered(config: LessonsConfig, zoo: Zoo, teacher: str, changes: dict, *, fresh: bool) -> tuple[Row, object]:
    cls = Pixels
    inverter = cls(cls.preset("demo").override(changes))
    recipe, judge = Recipe(zoo, inverter, PER_CLASS, config.seed), zoo.judge(teacher)
    oracle = recipe.oracle(teacher)
    assert judge is not None and isinstance(oracle, AutogradOracle)
    own = oracle.teacher
    if fresh:
        oracle = _untrained(oracle, derive_seed(config.seed, "untrained", teacher))
        own = oracle.teacher
    labels = labels_per_class(oracle.way, PER_CLASS)
    tiles, rows, curve = few_of_each(labels, TILES), [], {"own": [], "judge": [], "own_sure": [], "judge_sure": []}
    right: dict[str, list[str]] = {"own_right": [], "judge_right": []}
    steps = inverter.recover([oracle], [labels], generator=recipe.generator("invert"), device=recipe.device)
    for step in steps:
        if step.step not in FRAMES:
            continue
        rows.append(step.images[tiles])
        for who, network in (("own", own), ("judge", judge)):
            logits = answers(network, step.images)
            hits = agreement(logits, labels)
            curve[who].append(float(hits.float().mean()))
            curve[f"{who}_sure"].append(float(logits.softmax(1).gather(1, labels[:, None]).mean()))
            right[f"{who}_right"].append("".join("01"[int(hit)] for hit in hits[tiles]))
        last = step.images
    return {**curve, **right, "diversity": feature_diversity(last, labels)}, sheet_of(rows)


def _untrained(oracle: AutogradOracle, seed: int) -> AutogradOracle:
    """The same oracle on a network of the same build with fresh weights."""
    import json

    card = oracle.teacher.card
    net = build_network(card.architecture, seed=seed, **json.loads(oracle.teacher.build))
    return AutogradOracle(Teacher(card, net, oracle.teacher.build), torch.device("cpu"), oracle.class_keys)


def _mean(parts: list[Row]) -> Row:
    """Means over teachers, rounded; the teachers' own numbers beside them."""
    names = ("own", "judge", "own_sure", "judge_sure")
    means = {n: [round(sum(v) / len(parts), 4) for v in zip(*(p[n] for p in parts), strict=True)] for n in names}
    diversity = round(sum(p["diversity"] for p in parts) / len(parts), 4)
    return {**means, "diversity": diversity, "judge_of_each": [round(p["judge"][-1], 4) for p in parts]}


def last_of(events):  # noqa: ANN001, ANN201 - an iterator of events, and what it gives
    """The result of some work, which is its last event's."""
    return deque(events, maxlen=1).pop().result
