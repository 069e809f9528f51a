"""Lesson 1: how much more several teachers see together than one, and whether reported accuracy tells who is useful."""

from __future__ import annotations

import numpy as np
import torch

from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.sheets import all_pictures, centroid_distances, features_by_part, hit_rates, sample_episodes
from dfml.core.seeds import derive_seed
from dfml.data.episodes import EpisodeSampler
from dfml.zoo import open_zoo
from dfml.zoo.teacher import Teacher

EPISODES, ORDERS, SURE_TEACHERS, NOISE = 300, 20, 20, 500


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Nearest centroids over the features of the first k teachers, for each k, as mean over several orders."""
    zoo, sampler = open_zoo(config.zoo), sample_episodes("test", EPISODES, config.seed)
    pictures = all_pictures(sampler)
    noise = torch.rand(NOISE, *pictures.shape[1:], generator=torch.Generator().manual_seed(config.seed))
    teachers = [zoo.teacher(card.id) for card in zoo.cards]
    distances, sure, sure_noise = [], [], []
    for position, teacher in enumerate(teachers):
        distances.append(centroid_distances(features_by_part(teacher.features, pictures), sampler).half())
        if position < SURE_TEACHERS:
            with torch.no_grad():
                sure.append(float(teacher.logits(pictures).softmax(1).amax(1).mean()))
                sure_noise.append(float(teacher.logits(noise).softmax(1).amax(1).mean()))
    single = [float(hit_rates(each.float()).mean()) for each in distances]
    rng = np.random.default_rng(derive_seed(config.seed, "orders of teachers"))
    curves = []
    for number in range(ORDERS):
        progress(f"experts: order {number + 1} of {ORDERS}")
        total, curve = torch.zeros_like(distances[0], dtype=torch.float32), []
        for position in rng.permutation(len(teachers)):
            total += distances[position]
            curve.append(float(hit_rates(total).mean()))
        curves.append(curve)
    names = sorted({name for card in zoo.cards for name in card.classes or ()})
    return {
        "what": f"nearest centroid over the features of k teachers, {EPISODES} episodes of sample:cifar-fs (test, "
        f"5-way 5-shot), mean of {ORDERS} orders",
        "episodes": EPISODES,
        "orders": ORDERS,
        "classes": names,
        "teachers": [
            {
                "id": card.id,
                "classes": [names.index(name) for name in card.classes or ()],
                "reported": card.accuracy,
                "alone": round(alone, 4),
            }
            for card, alone in zip(zoo.cards, single, strict=True)
        ],
        "accuracy": [round(float(v), 4) for v in np.mean(curves, 0)],
        "deviation": [round(float(v), 4) for v in np.std(curves, 0, ddof=1)],
        "sure_of_unknown": round(float(np.mean(sure)), 4),
        "sure_of_noise": round(float(np.mean(sure_noise)), 4),
        "sure_teachers": SURE_TEACHERS,
        "strangers": _strangers(teachers[0], sampler, pictures),
    }, {}


@torch.no_grad()
def _strangers(teacher: Teacher, sampler: EpisodeSampler, pictures: torch.Tensor) -> Row:
    """What the first teacher answers to the first picture of each class, none of which it knows."""
    positions = [int(members[0]) for members in sampler.data.members]
    answers = teacher.logits(pictures[positions]).softmax(1)
    return {
        "teacher": teacher.card.id,
        "split": sampler.data.split,
        "classes": list(sampler.data.class_names),
        "positions": positions,
        "answers": [[round(float(p), 4) for p in row] for row in answers],
    }
