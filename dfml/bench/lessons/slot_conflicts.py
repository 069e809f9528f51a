"""Lesson 6: one class in different slots of two teachers, and how similar the teachers of groups are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.dream_settings import last_of
from dfml.bench.lessons.sheets import packed
from dfml.core.paths import STUDIO, read_json
from dfml.methods.tgr import Tgr
from dfml.runs.spec import default_threads
from dfml.tasks.grouping import group_teachers, within_and_between
from dfml.training.recovered import GROUP_SEED, compare_zoo
from dfml.training.taking_part import everyone
from dfml.zoo import open_zoo

GROUPINGS = ("dissimilar", "similar", "random")
TABLE = Path("benchmarks/results/heterogeneity-cifar-fs-conv4-demo.json")


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Slots of shared classes, the matrix of ``zoo similarity``, and three groupings of it."""
    zoo = open_zoo(config.zoo)
    heads = {card.id: list(card.classes or ()) for card in zoo.cards}
    shared = different = 0
    for one, other in combinations(heads.values(), 2):
        for name in set(one) & set(other):
            shared += 1
            different += one.index(name) != other.index(name)
    progress("conflicts: comparing teachers by recovered pictures")
    tgr = Tgr.preset("demo")
    found, _ = last_of(compare_zoo(zoo, tgr, everyone(zoo), device=torch.device("cpu"), jobs=default_threads()))
    matrix = np.asarray(found.similarity, dtype=np.float64)
    # Groups and means are those of the matrix that is shown, which is rounded to 8 bits.
    low = float(matrix.min())
    levels = np.round((matrix - low) / (1 - low) * 255).astype(np.uint8)
    seen = low + levels / 255 * (1 - low)
    groupings = {}
    for by in GROUPINGS:
        numbers = group_teachers(seen, tgr.groups, by=by, seed=GROUP_SEED)
        within, between = within_and_between(seen, numbers)
        groupings[by] = {"groups": numbers, "within": round(within or 0, 4), "between": round(between or 0, 4)}
    return {
        "what": "slots of shared classes in all pairs of teachers; similarity of the teachers' recovered pictures as "
        "`zoo similarity` measures it, and three groupings; differences from the committed comparison of sets",
        "heads": heads,
        "shared": shared,
        "different_slots": different,
        "lowest": round(low, 6),
        "matrix": packed(levels),
        "groupings": groupings,
        "outcome": _outcome(),
    }, {}


def _outcome() -> Row:
    """What training on dissimilar instead of similar teachers gave, in the committed table."""
    told = read_json(STUDIO / TABLE, "the table of heterogeneity")
    (row,) = [row for row in told["summary"] if (row["shots"], row["adapt"]) == (5, "centroid")]
    names = ("classes", "alignment")
    looked_at = [r for r in told["rows"] if (r["shots"], r["adapt"]) == (5, "centroid")]
    by_set = {s: {name: [r[name] for r in looked_at if r["set"] == s] for name in names} for s in row["sets"]}
    return {"source": TABLE.as_posix(), "shots": 5, "adapt": "centroid", **row["difference"], "sets": by_set}
