"""Lesson 5: the mean of two networks, plain and with matched units, in a toy and in the zoo."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from dfml.bench.dro_paper.sinusoid import Net, Settings, Tasks, errors, train_teachers
from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.sheets import packed, rounded, sample_episodes
from dfml.data.episodes import EpisodeSampler
from dfml.meta.alignment import align, align_network, match_units
from dfml.meta.evaluation import evaluate
from dfml.meta.fusion import load_average
from dfml.meta.learners import MAML
from dfml.meta.model import MetaModel, new_meta_model
from dfml.zoo import open_zoo
from dfml.zoo.zoo import Zoo

NETWORKS, POINTS, SHIPPED = 8, 101, 2
AMPLITUDE, PHASE, OFFSET = 4.0, 0.6, 1.0
"""The sinusoid that all networks fit."""
COUNTS, SINGLES, EPISODES = (2, 10, 100), 10, 100


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Errors midway between networks that fit one sinusoid, and accuracies of averaged teachers by centroid."""
    one = [torch.full((NETWORKS, 1, 1), value) for value in (AMPLITUDE, PHASE, OFFSET)]
    toy, networks = {}, {}
    x = torch.linspace(-5, 5, POINTS)[None, :, None]
    for start, shared in (("own", False), ("shared", True)):
        progress(f"mixing: {NETWORKS} networks, {start} first weights")
        settings = Settings(shared_init=shared, teacher_steps=2000)
        nets, tasks = train_teachers(Tasks(*one), settings, config.seed), Tasks(*(v[:1] for v in one))
        wanted = tasks(x)
        alone = [float(errors(_one(nets, i), x, wanted, settings)) for i in range(NETWORKS)]
        found: dict[str, list[float]] = {"plain": [], "aligned": []}
        for a, b in combinations(range(NETWORKS), 2):
            for how in found:
                other = _aligned(nets, b, a) if how == "aligned" else _one(nets, b)
                found[how].append(float(errors(_mean(_one(nets, a), other), x, wanted, settings)))
        toy[start] = {
            "alone": round(float(np.mean(alone)), 4),
            **{how: round(float(np.mean(values)), 4) for how, values in found.items()},
            "of_shown": {how: round(values[0], 4) for how, values in found.items()},
        }
        networks[start] = [packed(_flat(_one(nets, i)).astype(np.float16)) for i in range(SHIPPED)]
        networks[f"{start}_order"] = _orders(nets, 1, 0)
        flat = float((wanted - wanted.mean()).square().mean())
    zoo = open_zoo(config.zoo)
    progress("mixing: averaging the zoo's teachers")
    return {
        "what": f"{NETWORKS} networks on one sinusoid and all their pairs, {POINTS} points; means of "
        f"{', '.join(map(str, COUNTS))} teachers by centroid, {EPISODES} episodes of sample:cifar-fs (test, 5-shot)",
        "sinusoid": {"amplitude": AMPLITUDE, "phase": PHASE, "offset": OFFSET, "points": POINTS, "range": 5.0},
        "activation": Settings().activation,
        "sizes": [1, 50, 50, 1],
        "pairs": NETWORKS * (NETWORKS - 1) // 2,
        "flat_line": round(flat, 4),
        "toy": toy,
        "networks": networks,
        "zoo": _zoo(zoo, config.seed),
    }, {}


def _one(nets: Net, which: int) -> Net:
    return [(weight[which : which + 1], bias[which : which + 1]) for weight, bias in nets]


def _mean(a: Net, b: Net) -> Net:
    return [((v + w) / 2, (c + d) / 2) for (v, c), (w, d) in zip(a, b, strict=True)]


def _single(nets: Net, which: int) -> list:
    return [(weight[which], bias[which, 0]) for weight, bias in nets]


def _aligned(nets: Net, which: int, reference: int) -> Net:
    moved = align(_single(nets, which), _single(nets, reference))
    return [(weight[None], bias[None, None]) for weight, bias in moved if bias is not None]


def _orders(nets: Net, which: int, reference: int) -> list[list[int]]:
    """For each hidden layer the unit of the second network that goes to each place of the first; see ``align``."""
    mine, wanted, orders, before = _single(nets, which), _single(nets, reference), [], None
    for (weight, bias), (other, target) in zip(mine[:-1], wanted[:-1], strict=True):
        moved = weight if before is None else weight[:, before]
        units, places = (torch.cat([w.double(), b.double()[:, None]], 1) for w, b in ((moved, bias), (other, target)))
        before = match_units(torch.cdist(units, places, compute_mode="donot_use_mm_for_euclid_dist").square())
        orders.append(before.tolist())
    return orders


def _flat(net: Net) -> np.ndarray:
    return torch.cat([part.flatten() for layer in net for part in layer]).numpy()


def _zoo(zoo: Zoo, seed: int) -> Row:
    sampler = sample_episodes("test", EPISODES, seed)
    teachers = [zoo.teacher(card.id) for card in zoo.cards]
    card = teachers[0].card
    model = new_meta_model(
        card.architecture, shape=card.input_size, way=5, mean=list(card.mean), std=list(card.std), learner=MAML(),
        width=32, seed=seed,
    )  # fmt: skip
    rows: Row = {"random": _centroid(model, sampler)}
    singles = []
    for teacher in teachers[:SINGLES]:
        load_average(model, [teacher.net])
        singles.append(_centroid(model, sampler))
    for count in COUNTS:
        nets = [teacher.net for teacher in teachers[:count]]
        load_average(model, nets)
        plain = _centroid(model, sampler)
        load_average(model, [align_network(net, nets[0]) for net in nets])
        rows[str(count)] = {"plain": plain, "aligned": _centroid(model, sampler)}
    return {"singles": rounded(singles), "counts": list(COUNTS), **rows}


def _centroid(model: MetaModel, sampler: EpisodeSampler) -> float:
    (found,) = evaluate(model, sampler, bn=("transductive",), adapt=("centroid",), yardstick=False)
    return round(found.accuracy, 4)
