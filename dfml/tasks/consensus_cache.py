"""Recoveries that all teachers of a zoo have revised together."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dfml.cluster.fan_out import Jobs
from dfml.core.events import Done, Event, Note, Progress, until_done
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import ExtraLoss
from dfml.inversion.consensus import ConsensusConfig, reach_consensus
from dfml.inversion.recipe import kept_path
from dfml.tasks.cache import FORMAT, Recoveries, Visit


class ConsensusRecoveries(Recoveries):
    """Recovers a visit of every teacher at once and revises them together; see ``reach_consensus``.

    The n-th visits of all teachers belong together: asking for one of them makes them all, and all are counted.
    A visit with an ``extra_loss``, which seeks disagreement, is not revised.

    ``plain`` gives the images that are revised, and keeps what it recovers; ``teachers`` are the ids of those that take
    part.
    """

    def __init__(self, plain: Recoveries, teachers: Sequence[str], consensus: ConsensusConfig) -> None:
        super().__init__(plain.recipe, keep=plain.keep)
        self.plain, self.teachers, self.consensus = plain, list(teachers), consensus
        self._held, self._oracles = plain._held, plain._oracles
        self._made: dict[Visit, PseudoTask] = {}

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
                yield from self._make(visit[1], step, total)
                task = self._made[visit]
            # Its images are those that all the others agreed to.
            self.count_cost(self._together(visit[1]))
            found.append(task.to(self.recipe.device))
        yield Done(found)

    def prepare(self, visits: Sequence[Visit], *, jobs: Jobs = 1) -> Iterator[Event]:
        """Make sure that these visits are kept; see ``Recoveries.prepare``. The revision runs in this process."""
        numbers = sorted({number for _, number in visits})
        unkept = [n for n in numbers if not all(self._path(visit).is_file() for visit in self._together(n))]
        together = [visit for number in unkept for visit in self._together(number)]
        yield from until_done(self.plain.prepare(together, jobs=jobs))
        for number in unkept:
            yield from self._make(number)
        tasks = [self._made.get(visit) or self._read(visit) for visit in visits]
        for visit in [visit for visit, task in zip(visits, tasks, strict=True) if task is None]:
            yield Note(0, f"nothing is kept of teacher {visit[0]}, visit {visit[1]}", "rejected")
        yield Done(self._cost_of_kept(tasks))

    def _together(self, number: int) -> list[Visit]:
        return [(teacher, number) for teacher in self.teachers]

    def _make(self, number: int, step: int = 0, total: int = 0) -> Iterator[Event]:
        visits = self._together(number)
        before = self.plain.cost["kept_seconds"]
        found = yield from until_done(self.plain.recover(visits, step=step, total=total))
        kept = self.plain.cost["kept_seconds"] - before
        stream = reach_consensus(
            found,
            [self.oracle(visit) for visit in visits],
            self.zoo.class_keys(),
            self.consensus,
            shape=self.zoo.picture_shape,
            generator=self.recipe.generator("agreement", number),
            device=self.recipe.device,
        )
        for event in stream:
            if isinstance(event, Progress):
                # Inside a run the caller's step counts; alone the sweeps do.
                yield Progress(step, total, event.text) if total else event
            else:
                revised = event.result
        # Only the newest stay in memory: a zoo's images are many, and the others are on the disk.
        self._made = {visit: task.rounded() for visit, task in zip(visits, revised, strict=True)}
        for visit, task in self._made.items():
            self._spend(visit, task)
            self._file(visit, task)
        # Not all of these seconds were spent now.
        self.cost["seconds"] -= kept
        self.cost["kept_seconds"] += kept

    def _path(self, visit: Visit) -> Path:
        facts = {
            "format": FORMAT,
            "agreement": self.consensus.model_dump(mode="json"),
            "together": [self.plain.mark(other) for other in self._together(visit[1])],
            "visit": list(visit),
        }
        return kept_path("recovered", f"agreed-{self.recipe.inverter.name}-", facts)
