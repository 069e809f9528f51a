"""Lesson 3: free pixels, a generator and a meta-generator, step by step, on teachers that have a judge."""

from __future__ import annotations

from pathlib import Path

from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.dream_settings import JUDGED, SHOWN, TILES, last_of
from dfml.bench.lessons.sheets import few_of_each, sheet_of
from dfml.core.paths import STUDIO, read_json
from dfml.inversion import INVERTERS
from dfml.inversion.batched import labels_per_class
from dfml.inversion.pipeline import warm_up
from dfml.inversion.recipe import Recipe
from dfml.reports.quality import agreement, answers
from dfml.zoo import open_zoo

PER_CLASS = 20
CURVE = (1, 2, 3, 4, 5, 10, 20, 35, 50, 75, 100, 150, 200)
FRAMES = (1, 2, 3, 4, 5, 20, 50, 200)
PAINTERS = {
    "pixels": ("pixels", {}),
    "generator": ("generator", {}),
    "meta-generator": ("meta-generator", {}),
    "cold": ("meta-generator", {"warm_up": 0}),
}
TABLE = Path("benchmarks/results/inversion-cifar-fs-conv4-demo.json")


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Recover by each inverter; share of pictures in which teacher and judge see the wanted class, by step."""
    zoo, found, sheets = open_zoo(config.zoo), {}, {}
    for name, (which, changes) in PAINTERS.items():
        cls = INVERTERS.get(which)
        inverter = cls(cls.preset("demo").override(changes))
        recipe = Recipe(zoo, inverter, PER_CLASS, config.seed)
        progress(f"painters: {name}, warming up" if inverter.uses_others and not changes else f"painters: {name}")
        warmed = last_of(warm_up(recipe, list(JUDGED))) if not changes else None
        rows: dict[int, list[tuple[float, float]]] = {}
        for teacher in JUDGED:
            judge, oracle = zoo.judge(teacher), recipe.oracle(teacher)
            assert judge is not None
            labels = labels_per_class(oracle.way, PER_CLASS)
            tiles, frames = few_of_each(labels, TILES), []
            steps = inverter.recover([oracle], [labels], generator=recipe.generator("invert"), device=recipe.device)
            for step in steps:
                if step.step in CURVE:
                    seen = (oracle.logits(step.images), answers(judge, step.images))
                    own, other = (float(agreement(logits, labels).float().mean()) for logits in seen)
                    rows.setdefault(step.step, []).append((own, other))
                if step.step in FRAMES and teacher == SHOWN:
                    frames.append((step.step, step.images[tiles]))
            if teacher == SHOWN:
                sheets[name] = sheet_of([images for _, images in frames])
                kept = [number for number, _ in frames]
        found[name] = {
            "steps": list(rows),
            "own": [round(sum(own for own, _ in row) / len(row), 4) for row in rows.values()],
            "judge": [round(sum(judge for _, judge in row) / len(row), 4) for row in rows.values()],
            "judge_of_each": [round(judge, 4) for _, judge in list(rows.values())[-1]],
            "frames": kept,
            "warm_up_teachers": warmed.teachers if warmed else None,
            "warm_up_steps": warmed.steps if warmed else None,
        }
    return {
        "what": f"pixels, generator and meta-generator (warm and cold) step by step, {PER_CLASS} pictures a class of "
        f"teachers {', '.join(JUDGED)}; seconds from {TABLE.as_posix()}",
        "teacher": SHOWN,
        "judged": list(JUDGED),
        "classes": list(zoo.card(SHOWN).classes or ()),
        "tiles": TILES,
        "painters": found,
        "bill": _bill(),
    }, sheets


def _bill() -> Row:
    """Seconds of the committed table."""
    rows = {row["method"]: row for row in read_json(STUDIO / TABLE, "the table of inverters")["rows"]}
    names = ("seconds", "warm_up_seconds", "judge_agreement", "recoveries")
    wanted = [name for name in ("pixels", "generator", "meta-generator") if name in rows]
    return {"source": TABLE.as_posix(), "rows": {n: {key: rows[n].get(key) for key in names} for n in wanted}}
