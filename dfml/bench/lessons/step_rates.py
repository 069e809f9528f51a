"""Lesson 4: what gradient steps on a few support pictures bring, by start and by rate."""

from __future__ import annotations

from dataclasses import replace

import torch

from dfml.bench.accuracy.step_choice import accuracy_after_steps
from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.sheets import QUERY, SHOT, WAY, rounded, sample_episodes
from dfml.data.episodes import EpisodeSampler
from dfml.meta.adaptation import AdaptedTask
from dfml.meta.evaluation import evaluate
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.runs.products import trained
from dfml.runs.spec import RunSpec

STARTS, RATES = ("random", "ota"), (0.01, 0.1)
STEPS = (1, 2, 3, 5, 7, 10, 15, 20)
EPISODES, SHOWN_EPISODES = 40, 3
QUERIES = 5
"""Query pictures of an episode whose answers are shown: one of each class."""


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Accuracy on episodes of the sample after each number of steps, and the answers of a few episodes on the way."""
    sampler, curves = sample_episodes("test", EPISODES, config.seed), []
    shown: list[Row] = [_pictures(sampler, number) for number in range(SHOWN_EPISODES)]
    for start in STARTS:
        progress(f"steps: training {start}")
        method = {"kind": "train", "method": start, "zoo": config.zoo, "seed": config.seed, "preset": "demo"}
        method["config"] = METHODS.get(start).preset("demo").model_dump(mode="json")
        model = trained(RunSpec.parse(method)).model
        (by_centroid,) = evaluate(model, sampler, bn=("transductive",), adapt=("centroid",), yardstick=False)
        for rate in RATES:
            progress(f"steps: {start} at {rate}")
            quick = model.with_adaptation("maml", lr=rate)
            found = accuracy_after_steps(quick, sampler, STEPS)
            curves.append(
                {
                    "start": start,
                    "rate": rate,
                    "accuracy": rounded([found[step][0] for step in STEPS]),
                    "ci95": rounded([found[step][1] for step in STEPS]),
                    "centroid": round(by_centroid.accuracy, 4),
                    "centroid_ci95": round(by_centroid.ci95, 4),
                }
            )
            for number, each in enumerate(shown):
                each["runs"].append({"start": start, "rate": rate, **_followed(quick, sampler, number)})
    return {
        "what": f"{EPISODES} episodes of sample:cifar-fs (test, 5-way 5-shot) after 1 to 20 gradient steps from random "
        "weights and from ota, at two inner rates",
        "episodes_measured": EPISODES,
        "queries": WAY * QUERY,
        "steps": list(STEPS),
        "curves": curves,
        "episodes": shown,
    }, {}


def _pictures(sampler: EpisodeSampler, number: int) -> Row:
    """Where the pictures of an episode lie in the sample."""
    classes, picks = sampler.plan[number]
    return {
        "split": sampler.data.split,
        "classes": [sampler.data.class_names[c] for c in classes],
        "support": picks[:, :SHOT].tolist(),
        "queries": [int(row[SHOT]) for row in picks],
        "runs": [],
    }


def _followed(model: MetaModel, sampler: EpisodeSampler, number: int) -> Row:
    """Of one episode after 0 .. 20 steps: answers to a query of each class, and how many of all queries are right."""
    episode = model.prepared(sampler.episode(number))
    given, firsts = (episode.support_x, episode.support_y), [c * QUERY for c in range(WAY)][:QUERIES]
    learner, params = model.learner_for("steps"), {n: p.detach() for n, p in model.params.items()}
    task = AdaptedTask(model, learner, params, *given)
    answers, right = [], []

    def look(task: AdaptedTask) -> None:
        logits = task.logits(episode.query_x)
        right.append(int((logits.argmax(1) == episode.query_y).sum()))
        answers.append([rounded(row, 3) for row in logits[firsts].softmax(1)])

    look(task)
    for adapted in learner.adapt(model.net, params, *given, steps=STEPS[-1]):
        look(replace(task, params={n: p.detach() for n, p in adapted.items()}))
    centroid = model.learner_for("centroid")
    fitted = AdaptedTask(model, centroid, params, *given).learned(params, model.adapt_steps)
    with torch.inference_mode():
        by_centroid = int((fitted.logits(episode.query_x).argmax(1) == episode.query_y).sum())
    return {"answers": answers, "right": right, "right_by_centroid": by_centroid}
