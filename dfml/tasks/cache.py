"""Recovered tasks of a zoo's teachers, each computed once and kept for the next time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from dfml.cluster import node
from dfml.cluster.fan_out import Jobs, in_processes
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.core.paths import cache_root, write_atomically
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import ExtraLoss
from dfml.inversion.batched import BatchedInverter
from dfml.inversion.pipeline import recover_together
from dfml.inversion.recipe import Recipe, WorkerArgs, kept_path, read_kept, write_kept
from dfml.zoo.oracles.base import AutogradOracle, Oracle
from dfml.zoo.teacher import HeldTeachers

FORMAT = 1
AT_ONCE = 32
"""Visits that are recovered in one pass, where they are stacked."""
COST: tuple[str, ...] = ("seconds", "kept_seconds", "passes", "queries")
Visit = tuple[str, int]
"""A teacher's id and the number of the visit to it: each visit recovers other images."""


class Recoveries:
    """Recovers tasks on demand, or takes them from below ``cache_root()`` where they were recovered before.

    A recovery depends on the recipe, the teacher and the visit alone, not on what was recovered before it, so kept
    and fresh ones are the same images. Images are rounded to 16-bit floats.

    Args:
        recipe: Of an inverter that needs no other teachers (``generator``, ``conditional-generator``, ``pixels``).
        keep: Look for kept recoveries and keep new ones. A visit with an ``extra_loss`` is never kept.

    Attributes:
        cost: ``seconds`` spent here, ``kept_seconds`` that the kept ones once took, and the ``passes`` and
            ``queries`` of both.
        plain: These recoveries before anything else was done to them; their cost is counted apart.
    """

    def __init__(self, recipe: Recipe, *, keep: bool = True) -> None:
        if recipe.inverter.uses_others:
            name = recipe.inverter.name
            raise BadInput(f"recoveries of single teachers are not for {name!r}, which needs the others.")
        self.recipe, self.zoo, self.keep = recipe, recipe.zoo, keep
        self.cost = dict.fromkeys(COST, 0.0)
        self.plain: Recoveries = self
        self._held, self._oracles = HeldTeachers(recipe.zoo.teacher, recipe.device), dict[str, Oracle]()
        self._counted: set[Visit] = set()

    def recover(
        self, visits: Sequence[Visit], *, step: int = 0, total: int = 0, extra_loss: ExtraLoss | None = None
    ) -> Iterator[Event]:
        """Recover the tasks of some visits; ``step`` and ``total`` are the caller's, for the progress.

        Last comes ``Done(list of PseudoTask)``, one per visit in their order.
        """
        found: list[PseudoTask] = []
        recipe, size = replace(self.recipe, extra_loss=extra_loss), AT_ONCE if self.stacks else 1
        for part in (visits[start : start + size] for start in range(0, len(visits), size)):
            tasks: dict[Visit, Any] = {visit: self._kept(visit) if extra_loss is None else None for visit in part}
            todo = [visit for visit, task in tasks.items() if task is None]
            for event in self._recovered(recipe, todo) if todo else ():
                if isinstance(event, Progress):
                    yield Progress(step, total, f"recovering from {event.text}")
                elif isinstance(event, Done):
                    tasks |= zip(todo, (one.task.rounded() for one in event.result), strict=True)
            for visit in todo:
                self._spend(visit, task := tasks[visit])
                if self.keep and extra_loss is None:
                    self._file(visit, task)
            found += [tasks[visit].to(recipe.device) for visit in part]
        yield Done(found)

    @property
    def stacks(self) -> bool:
        """Whether several visits are recovered in one pass."""
        work = self.recipe.inverter
        return isinstance(work, BatchedInverter) and work.config.stacks(self.recipe.device)

    def _recovered(self, recipe: Recipe, visits: list[Visit]) -> Iterator[Event]:
        """Recover visits in step, each from its own seed; see ``recover_together``."""
        draws = [recipe.generator("recovery", *visit) for visit in visits]
        if len(visits) == 1:
            return recover_together(recipe, [self.oracle(visits[0])], draws[0])
        # One teacher may be among them twice, and each visit's cost is counted by its own oracle.
        return recover_together(recipe, [recipe.oracle(*visit, held=self._held) for visit in visits], draws)

    def prepare(self, visits: Sequence[Visit], *, jobs: Jobs = 1) -> Iterator[Event]:
        """Make sure that these visits are kept, several at once in ``jobs`` processes of one thread each, or a cluster.

        Others that prepare the same visits share the work: each is done once.

        Yields:
            Progress, a note for each teacher that cannot be inverted; last ``Done(cost of all as a dict)``.
        """
        missing = [v for v in visits if not self._path(v).is_file()]
        done, wait = len(visits) - len(missing), False
        yield Progress(done, len(visits), "recovering tasks")
        while missing:
            busy: list[Visit] = []
            work = partial(_recover_one, self.recipe.for_workers(), wait)
            for outcome in in_processes(work, missing, jobs=jobs, what="recovered teachers", folders=[self.zoo.source]):
                if outcome is None:
                    continue
                visit, problem, content = outcome
                if content and not self._path(visit).is_file():
                    self._path(visit).parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(self._path(visit), lambda part, content=content: part.write_bytes(content))
                if problem is None:
                    busy.append(visit)
                    continue
                done += 1
                yield Progress(done, len(visits), "recovering tasks")
                if problem:
                    yield Note(0, problem, "rejected")
            # What others were at the first time is theirs; only where they failed is it left to do.
            missing, wait = busy, True
        yield Done(self._cost_of_kept([self._read(visit) for visit in visits]))

    def count_cost(self, visits: Sequence[Visit]) -> None:
        """Count what kept recoveries once cost, where work that follows from them is taken from earlier."""
        for visit in visits:
            if visit not in self._counted:
                self._kept(visit)

    def ask(self, teacher: str, images: torch.Tensor) -> torch.Tensor:
        """What a teacher says of images: logits [N, way]; its queries are counted."""
        # Any visit's oracle answers alike, so that a black box is not opened anew for each question.
        oracle = self._oracles.get(teacher) or self.oracle((teacher, 0))
        before = oracle.queries
        said = oracle.logits(images)
        self.cost["queries"] += oracle.queries - before
        return said

    def mark(self, visit: Visit) -> str:
        """What tells a recovery from all others; work that follows from it alone can be kept under this name."""
        return self._path(visit).stem

    def kept_file(self, visit: Visit) -> Path:
        """Where a visit's recovery is kept."""
        return self._path(visit)

    def oracle(self, visit: Visit) -> Oracle:
        """The oracle of a visit; black boxes draw their directions from the visit's own seed."""
        known = self._oracles.get(visit[0])
        if not isinstance(known, AutogradOracle):
            known = self._oracles[visit[0]] = self.recipe.oracle(*visit, held=self._held)
        return known

    def state(self) -> dict[str, Any]:
        """What it cost so far, and for which visits."""
        # The key "billed" is that of earlier checkpoints.
        return {"cost": dict(self.cost), "billed": sorted([teacher, number] for teacher, number in self._counted)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        self.cost = {name: float(flat[f"cost/{name}"]) for name in self.cost}
        self._counted = {(teacher, int(number)) for teacher, number in flat["billed"]}

    def _cost_of_kept(self, tasks: Iterable[PseudoTask | None]) -> dict[str, float]:
        cost = dict.fromkeys(COST, 0.0)
        for task in filter(None, tasks):
            _add(cost, task, "kept_seconds")
        return cost

    def _spend(self, visit: Visit, task: PseudoTask) -> None:
        self._counted.add(visit)
        _add(self.cost, task, "seconds")

    def _kept(self, visit: Visit) -> PseudoTask | None:
        task = self._read(visit) if self.keep else None
        if task is not None and visit not in self._counted:  # else paid for when it was first met
            self._counted.add(visit)
            _add(self.cost, task, "kept_seconds")
        return task

    def _read(self, visit: Visit) -> PseudoTask | None:
        state, about = read_kept(self._path(visit)) or ({}, {})
        with suppress(KeyError):  # nothing there, or damaged: it is only a cache
            images, answers = state["images"], state["soft_targets"]
            parts = images.to(answers.dtype), state["labels"], answers
            return PseudoTask(*parts, visit[0], dict(about["cost"]))
        return None

    def _file(self, visit: Visit, task: PseudoTask) -> None:
        state = {"images": task.images.half(), "labels": task.labels, "soft_targets": task.soft_targets}
        write_kept(self._path(visit), state, {"cost": task.cost})

    def _path(self, visit: Visit) -> Path:
        teacher, number = visit
        facts = {"teacher": self.recipe.facts_of(teacher), "per_class": self.recipe.per_class, "visit": number}
        return kept_path("recovered", f"{self.recipe.inverter.name}-", self.recipe.facts(FORMAT) | facts)


def _add(cost: dict[str, float], task: PseudoTask, seconds: str) -> None:
    cost[seconds] += task.cost["seconds"]
    for name in ("passes", "queries"):
        cost[name] += task.cost.get(name, 0.0)


def _recover_one(args: WorkerArgs, wait: bool, visit: Visit) -> tuple[Visit, str | None, bytes]:
    """In a process of its own, recover and keep one visit; return it and why it could not be recovered, else "".

    The reason is None where somebody else is at it and ``wait`` is off. From another node comes what is kept, too.
    """
    try:
        recoveries = Recoveries(args.open())
        locks = cache_root() / "preparing"
        locks.mkdir(parents=True, exist_ok=True)
        mine = locks / f"{recoveries.mark(visit)}.lock"
        with FileLock(mine, timeout=-1 if wait else 0):
            for _ in recoveries.recover([visit]):
                pass
            # Whoever waits for it finds the recovery. Windows keeps a file that is open.
            with suppress(OSError):
                mine.unlink()
    except Timeout:
        return visit, None, b""
    except BadInput as error:
        return visit, str(error), b""
    return visit, "", recoveries.kept_file(visit).read_bytes() if node.is_node() else b""
