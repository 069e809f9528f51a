"""Recoveries that all teachers of a zoo have revised together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from dfml.core.events import Done, Event, Note, Progress, until_done
from dfml.core.paths import cache_root
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import ExtraLoss
from dfml.inversion.consensus import ConsensusConfig, reach_consensus
from dfml.tasks.cache import FORMAT, Recoveries, Visit


class ConsensusRecoveries(Recoveries):
    """Recovers a visit of every teacher at once and revises them together; see ``reach_consensus``.

    The n-th visits of all teachers belong together: asking for one of them makes them all, and all are billed.
    A visit with an ``extra_loss``, which seeks disagreement, is not revised.

    Args:
        plain: Gives the pictures that are revised; it keeps what it recovers.
        teachers: Ids of those that take part.
        consensus: How they are revised.
    """

    def __init__(self, plain: Recoveries, teachers: Sequence[str], consensus: ConsensusConfig) -> None:
        super().__init__(
            plain.zoo, plain.inverter, per_class=plain.per_class, seed=plain.seed, device=plain.device,
            keep=plain.keep, asking=plain.asking,
        )  # fmt: skip
        self.unrevised, self.teachers, self.consensus = plain, list(teachers), consensus
        self._oracles = plain._oracles
        self._made: dict[Visit, PseudoTask] = {}

    @property
    def plain(self) -> Recoveries:
        """The recoveries before they are revised; their cost is counted apart."""
        return self.unrevised

    def recover(
        self, visits: Sequence[Visit], *, step: int = 0, total: int = 0, extra_loss: ExtraLoss | None = None
    ) -> Iterator[Event]:
        """Recover the tasks of some visits; see ``Recoveries.recover``."""
        if extra_loss is not None:
            yield from super().recover(visits, step=step, total=total, extra_loss=extra_loss)
            return
        found = []
        for visit in visits:
            task = self._made.get(visit) or self._kept(visit)
            if task is None:
                yield from until_done(self._make(visit[1], step, total))
                task = self._made[visit]
            # Its pictures are those that all the others agreed to.
            self.bill([(teacher, visit[1]) for teacher in self.teachers])
            found.append(task.to(self.device))
        yield Done(found)

    def prepare(self, visits: Sequence[Visit], *, jobs: int = 1) -> Iterator[Event]:
        """Make sure that these visits are kept; see ``Recoveries.prepare``. The revision runs in this process."""
        numbers = sorted({number for _, number in visits})
        unkept = [n for n in numbers if not all(self._path((t, n)).is_file() for t in self.teachers)]
        yield from until_done(self.unrevised.prepare([(t, n) for n in unkept for t in self.teachers], jobs=jobs))
        for number in unkept:
            yield from until_done(self._make(number, 0, 0))
        cost = dict.fromkeys(self.cost, 0.0)
        for visit in visits:
            task = self._made.get(visit) or self._read(visit)
            if task is None:
                yield Note(0, f"nothing is kept of teacher {visit[0]}, visit {visit[1]}", "rejected")
                continue
            for name, of_task in (("kept_seconds", "seconds"), ("passes", "passes"), ("queries", "queries")):
                cost[name] += task.cost.get(of_task, 0.0)
        yield Done(cost)

    def _make(self, number: int, step: int, total: int) -> Iterator[Event]:
        visits = [(teacher, number) for teacher in self.teachers]
        before = self.unrevised.cost["kept_seconds"]
        found = yield from until_done(self.unrevised.recover(visits, step=step, total=total))
        kept = self.unrevised.cost["kept_seconds"] - before
        stream = reach_consensus(
            found,
            [self.oracle(visit) for visit in visits],
            self.zoo.class_keys(),
            self.consensus,
            shape=self.zoo.picture_shape,
            generator=torch.Generator().manual_seed(derive_seed(self.seed, "agreement", number)),
            device=self.device,
        )
        for event in stream:
            if isinstance(event, Progress):
                # Inside a run the caller's step counts; alone the sweeps do.
                yield Progress(step, total, event.text) if total else event
            else:
                revised = event.result
        # Only the newest stay in memory: a zoo's pictures are many, and the others are on the disk.
        self._made = {visit: task.rounded() for visit, task in zip(visits, revised, strict=True)}
        for visit, task in self._made.items():
            self._spend(visit, task, seconds=task.cost["seconds"])
            self._file(visit, task)
        # Not all of these seconds were spent now.
        self.cost["seconds"] -= kept
        self.cost["kept_seconds"] += kept
        yield Done(None)

    def _path(self, visit: Visit) -> Path:
        facts = {
            "format": FORMAT,
            "agreement": json.loads(self.consensus.model_dump_json()),
            "together": [self.unrevised.mark((teacher, visit[1])) for teacher in self.teachers],
            "visit": list(visit),
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        return cache_root() / "recovered" / f"agreed-{self.inverter.name}-{key}.safetensors"
