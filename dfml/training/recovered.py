"""How methods get tasks recovered from single teachers, count what was asked, and group teachers by them."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from dfml.cluster.fan_out import Jobs
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, ZooMap, until_done
from dfml.inversion import INVERTERS
from dfml.inversion.recipe import Recipe
from dfml.tasks.cache import Recoveries, Visit
from dfml.tasks.grouping import group_teachers, planar_map, within_and_between
from dfml.tasks.similarity import PROCEDURAL_NAME, Similarity, measure_similarity, open_probe
from dfml.training.options import GroupingConfig, RecoveringConfig
from dfml.training.refusals import need_groups
from dfml.training.taking_part import TakingPart
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.zoo import Zoo

GROUP_SEED = 42
"""As published; all runs on a zoo have the same groups, but for random ones."""
MOST_KEPT = 1000
"""Visits of a teacher that are prepared; each takes about half a megabyte."""


def recoveries_of(
    zoo: Zoo,
    config: RecoveringConfig,
    inverter: str,
    *,
    device: torch.device,
    seed: int | None = None,
    asking: AskingConfig | None = None,
) -> Recoveries:
    """The recoveries that a config asks for, by the inverter ``generator`` or ``conditional-generator``.

    The ``seed`` is that of the run, for fresh recoveries; kept ones have a seed of their own, ``recovery_seed``.

    Raises:
        BadInput: A consensus is wanted of fresh recoveries, or of teachers that give no gradients.
    """
    cls = INVERTERS.get(inverter)
    changes = {
        "steps": config.inversion_steps, "lr": config.inversion_lr, "bn": config.bn, "latent": config.latent,
        "width": config.generator_width, "shift": config.shift, "flip": config.flip,
    }  # fmt: skip
    if "noise_lr" in cls.Config.model_fields:
        changes["noise_lr"] = config.inversion_lr
    kept = config.recovered == "kept"
    seed = config.recovery_seed if kept or seed is None else seed
    work, asks = cls(cls.Config().override(changes)), asking or AskingConfig()
    recipe = Recipe(zoo, work, config.recovered_per_class, seed, device, asks)
    plain = Recoveries(recipe, keep=kept)
    if not config.consensus:
        return plain
    from dfml.training.ours.images import revised

    return revised(plain, config, asking)


def prepare_recoveries(
    recoveries: Recoveries, teachers: TakingPart, config: RecoveringConfig, jobs: Jobs
) -> Iterator[Event]:
    """``Method.prepare`` for methods that keep recoveries: every visit to these teachers.

    Raises:
        BadInput: They would be too many to keep.
    """
    kept = config.recovered == "kept"
    if kept and config.visits > MOST_KEPT:
        raise BadInput(
            f"{config.visits:,} visits of {len(teachers.ids)} teachers are not kept: set visits, at most {MOST_KEPT:,}."
        )
    yield teachers.note()
    visits: list[Visit] = [(t, v) for v in range(config.visits) for t in teachers.ids] if kept else []
    yield from recoveries.prepare(visits, jobs=jobs)


def cost_of(*recoveries: Recoveries) -> dict[str, float]:
    """What all of them cost, for the model's card."""
    names = {"queries": "queries", "passes": "passes", "preparation_seconds": "kept_seconds"}
    return {name: sum(each.cost[cost] for each in recoveries) for name, cost in names.items()}


class QueryCounter:
    """What teachers that a method asks itself were asked, also before a run was resumed; part of the checkpoints."""

    def __init__(self, oracles: Sequence[Oracle]) -> None:
        self.oracles, self.before = list(oracles), {"passes": 0, "queries": 0}

    def state(self) -> dict[str, Any]:
        """``passes`` and ``queries`` so far."""
        return {n: b + sum(getattr(o, n) for o in self.oracles) for n, b in self.before.items()}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        now = {n: sum(getattr(o, n) for o in self.oracles) for n in self.before}
        self.before = {n: int(flat[n]) - now[n] for n in self.before}


class Groups:
    """The groups of a run and how often each teacher was visited; part of its checkpoints.

    ``numbers`` are the teachers' groups, ``visited`` the visits by a teacher's id, but for those of its embedding.
    ``probe`` is what embedded the teachers, if anything did; ``kept_seconds`` what that once took, where it was kept.
    ``homogeneity`` is the mean similarity within the groups; None where teachers were not compared.
    """

    def __init__(self, config: GroupingConfig) -> None:
        self.config = config
        self.numbers: list[int] = []
        self.visited: dict[str, int] = {}
        self.probe, self.kept_seconds = "", 0.0
        self.homogeneity: float | None = None

    def make(self, recoveries: Recoveries, ids: Sequence[str], *, seed: int) -> Iterator[Event]:
        """Group the teachers, telling what came out; ``seed`` is that of random groups."""
        cfg = self.config
        if cfg.group_by == "random":
            self.numbers = group_teachers(np.ones((len(ids), len(ids))), cfg.groups, by="random", seed=seed)
            yield Note(1, described(self.numbers, cfg), kind="groups")
            return
        found, self.probe = yield from compare_teachers(cfg, recoveries, ids, step=1, total=cfg.iterations)
        self.kept_seconds = found.seconds if found.kept else 0.0
        made = zoo_map(found, cfg, self.probe)
        self.numbers = list(made.groups)
        self.homogeneity = within_and_between(made.similarity, self.numbers)[0]
        yield Note(1, described(self.numbers, cfg), kind="groups")
        yield made

    @property
    def side_information(self) -> list[str]:
        """What chose the groups, where it saw real images."""
        return [self.probe] if self.probe not in ("", PROCEDURAL_NAME) else []

    def visit(self, teacher: str) -> int:
        """The number of a teacher's next visit; those of its embedding came before."""
        count = self.visited.get(teacher, 0)
        self.visited[teacher] = count + 1
        return (self.config.embed_visits + count) % self.config.visits

    def details(self, ids: Sequence[str], cost: dict[str, float]) -> dict[str, Any]:
        """For the model's card."""
        return {
            "groups": dict(zip(ids, self.numbers, strict=True)),
            "probe": self.probe,
            "homogeneity": self.homogeneity,
            "recoveries": sum(self.visited.values()),
            "queries": cost["queries"],
            "passes": cost["passes"],
            "preparation_seconds": cost["kept_seconds"] + self.kept_seconds,
        }

    def state(self) -> dict[str, Any]:
        """For checkpoints."""
        visited = [[teacher, count] for teacher, count in self.visited.items()]
        kept = {"probe": self.probe, "kept_seconds": self.kept_seconds, "homogeneity": self.homogeneity}
        return {"numbers": list(self.numbers), "visited": visited, **kept}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        self.numbers = [int(n) for n in flat["numbers"]]
        self.visited = {teacher: int(count) for teacher, count in flat["visited"]}
        self.probe, self.kept_seconds = str(flat["probe"]), float(flat["kept_seconds"])
        self.homogeneity = flat.get("homogeneity")  # older checkpoints have none


def compare_teachers(
    config: GroupingConfig, recoveries: Recoveries, ids: Sequence[str], *, step: int = 0, total: int = 0
) -> Generator[Event, None, tuple[Similarity, str]]:
    """Measure the similarity of teachers as a config says, and return it with the probe's name.

    Raises:
        BadInput: The probe cannot be used, or an embedding wants more visits than a teacher has.
    """
    need_groups(config)
    probe, name = open_probe(config.probe, recoveries.zoo.picture_shape)
    how = {"visits": config.embed_visits, "batch": config.embed_batch, "per_filter": config.embed_filters}
    found = yield from measure_similarity(recoveries, ids, probe, **how, step=step, total=total)
    return found, name


def described(numbers: Sequence[int], config: GroupingConfig) -> str:
    """How many groups of what."""
    count = len(set(numbers))
    kind = "teachers assigned at random" if config.group_by == "random" else f"{config.group_by} teachers"
    return f"1 group of {kind}" if count == 1 else f"{count} groups of {kind}"


def zoo_map(found: Similarity, config: GroupingConfig, probe: str) -> ZooMap:
    """Groups and map of compared teachers."""
    matrix = found.matrix.numpy()
    numbers = group_teachers(matrix, config.groups, by=config.group_by, seed=GROUP_SEED)
    within, between = within_and_between(matrix, numbers)
    parts = [f"{value:.3f} {where}" for value, where in ((within, "within"), (between, "between")) if value is not None]
    text = f"{described(numbers, config)}, compared by the {probe}; mean similarity {' and '.join(parts)} groups"
    return ZooMap(1, list(found.ids), matrix, numbers, planar_map(matrix), text)


def prepare_groups(
    zoo: Zoo, config: GroupingConfig, teachers: TakingPart, *, device: torch.device, jobs: Jobs
) -> Iterator[Event]:
    """``Method.prepare`` of methods that group teachers: recoveries and similarity are kept."""
    recoveries = recoveries_of(zoo, config, "generator", device=device)
    cost = yield from until_done(prepare_recoveries(recoveries, teachers, config, jobs))
    if config.recovered == "kept" and config.group_by != "random":
        found, _ = yield from compare_teachers(config, recoveries.plain, teachers.ids)
        cost["kept_seconds"] += found.seconds
    yield Done(cost)


def compare_zoo(
    zoo: Zoo, config: GroupingConfig, teachers: TakingPart, *, device: torch.device, jobs: Jobs = 1
) -> Iterator[Event]:
    """Compare and group a zoo's teachers by kept recoveries; missing ones are made in ``jobs`` processes.

    Last comes ``Done((ZooMap, cost))``, the cost as ``Method.prepare`` tells it.
    """
    config = config.override({"recovered": "kept", "visits": config.embed_visits, "consensus": 0})
    cost = yield from until_done(prepare_groups(zoo, config, teachers, device=device, jobs=jobs))
    recoveries = recoveries_of(zoo, config, "generator", device=device)
    found, probe = yield from compare_teachers(config, recoveries, teachers.ids)
    yield Done((zoo_map(found, config, probe), cost))
