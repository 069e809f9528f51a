"""Evaluation beside plain loops: by the nearest centroid, and by gradient steps."""

import numpy as np
import torch

from dfml.bench.plain.centroid_loop import centroid_accuracies
from dfml.bench.plain.steps_loop import stepped_accuracies
from dfml.bench.speed.meta_loops import INNER_LR, MEAN, QUERY, SHOT, STD, WAY, fresh_model
from dfml.bench.speed.side_by_side import Loop, Result, Run, Sizes
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import ClassSplit
from dfml.meta.evaluation import evaluate
from dfml.zoo.zoo import Zoo

CLASSES, EACH = 20, 40


def _made_up() -> ClassSplit:
    """Images of classes that can be told apart, as uint8 in memory."""
    drawn, labels = np.random.default_rng(0), np.arange(CLASSES).repeat(EACH)
    images = drawn.uniform(0, 255, (CLASSES, 32, 32, 3))[labels] + drawn.normal(0, 60, (len(labels), 32, 32, 3))
    pictures = images.clip(0, 255).astype(np.uint8)
    return ClassSplit("made-up", "test", pictures, labels, [f"class {i:02d}" for i in range(CLASSES)])


def _evaluated(sizes: Sizes, way: str) -> tuple[Run, Run]:
    steps = sizes.get("steps", 1)
    model, net = fresh_model("maml", sizes, steps=steps)
    data = _made_up()
    sampler = EpisodeSampler(data, way=WAY, shot=SHOT, query=QUERY, episodes=sizes["episodes"], seed=0)
    plan = [picks for _, picks in sampler.plan]

    def ours() -> Result:
        (found,) = evaluate(model, sampler, bn=["transductive"], adapt=[way], yardstick=False)
        return {"accuracies": torch.tensor(found.per_episode)}

    def plain() -> Result:
        if way == "centroid":
            return centroid_accuracies(net, data.images, plan, SHOT, MEAN, STD)
        return stepped_accuracies(net, data.images, plan, SHOT, MEAN, STD, lr=INNER_LR, steps=steps)

    return ours, plain


def centroid(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Episodes by the nearest centroid."""
    return _evaluated(sizes, "centroid")


def steps(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Episodes by gradient steps."""
    return _evaluated(sizes, "steps")


# An image whose two best classes are as likely may fall to either: one of an episode's 75.
LOOPS = [
    Loop(
        "centroid", "evaluation by centroids, {episodes} episodes", {"episodes": 600}, {"episodes": 3}, centroid,
        tolerance=1.01 / (WAY * QUERY),
    ),
    Loop(
        "steps", "evaluation by {steps} gradient steps, {episodes} episodes", {"episodes": 600, "steps": 10},
        {"episodes": 3, "steps": 2}, steps, tolerance=1.01 / (WAY * QUERY),
    ),
]  # fmt: skip
