"""Recovered tasks of a zoo's teachers, each computed once and kept for the next time."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from joblib import Parallel, delayed

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.core.paths import cache_root
from dfml.core.process import end_with_parent
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.inversion.base import INVERTERS, ExtraLoss, Inverter
from dfml.nets.checkpoint import load_checkpoint, save_checkpoint
from dfml.nets.device import use_threads
from dfml.zoo.open import open_zoo
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.choose import AskingConfig, make_oracle
from dfml.zoo.remote.remote_zoo import RemoteZoo
from dfml.zoo.zoo import Zoo

FORMAT = 1
Visit = tuple[str, int]
"""A teacher's id and the number of the visit to it: each visit recovers other pictures."""


class Recoveries:
    """Recovers tasks on demand, or takes them from below ``cache_root()`` where they were recovered before.

    A recovery depends on the teacher, the visit, the inverter's config and the seed alone, not on what was
    recovered before it, so kept and fresh ones are the same pictures. Pictures are rounded to 16-bit floats.

    Args:
        zoo: The zoo.
        inverter: One that needs no other teachers (``generator``, ``conditional-generator``, ``pixels``).
        per_class: Pictures a class.
        seed: Draws everything.
        device: Where to compute.
        keep: Look for kept recoveries and keep new ones. A visit with an ``extra_loss`` is never kept.
        asking: How teachers are questioned.

    Attributes:
        cost: ``seconds`` spent here, ``kept_seconds`` that the kept ones once took, and the ``passes`` and
            ``queries`` of both.
    """

    def __init__(
        self,
        zoo: Zoo,
        inverter: Inverter,
        *,
        per_class: int,
        seed: int,
        device: torch.device,
        keep: bool = True,
        asking: AskingConfig | None = None,
    ) -> None:
        if inverter.uses_others:
            raise BadInput(f"recoveries of single teachers are not for {inverter.name!r}, which needs the others.")
        self.zoo, self.inverter, self.per_class, self.seed = zoo, inverter, per_class, seed
        self.device, self.keep, self.asking = device, keep, asking or AskingConfig()
        self.cost = {"seconds": 0.0, "kept_seconds": 0.0, "passes": 0.0, "queries": 0.0}
        self._oracles: dict[str, Oracle] = {}
        self._billed: set[Visit] = set()

    def recover(
        self, visits: Sequence[Visit], *, step: int = 0, total: int = 0, extra_loss: ExtraLoss | None = None
    ) -> Iterator[Event]:
        """Recover the tasks of some visits.

        Args:
            visits: Teachers and the numbers of the visits.
            step: Of the caller, for the progress.
            total: Likewise.
            extra_loss: See ``Inverter.recover``.

        Yields:
            Progress; last ``Done(list of PseudoTask)``, one a visit in their order.
        """
        found: list[PseudoTask] = []
        for visit in visits:
            task = self._kept(visit) if extra_loss is None else None
            if task is None:
                started, last = time.perf_counter(), None
                oracle, labels = self.oracle(visit), self._labels(visit[0])
                generator = torch.Generator().manual_seed(derive_seed(self.seed, "recovery", *visit))
                stream = self.inverter.recover(
                    [oracle], [labels], generator=generator, device=self.device, extra_loss=extra_loss
                )
                for last in stream:  # noqa: B007 - the last one is wanted
                    yield Progress(step, total, f"recovering from teacher {visit[0]}")
                assert last is not None, "an inverter yields at least one step"
                task = last.tasks[0].rounded()
                self._spend(visit, task, seconds=time.perf_counter() - started)
                if self.keep and extra_loss is None:
                    self._file(visit, task)
            found.append(task.to(self.device))
        yield Done(found)

    def prepare(self, visits: Sequence[Visit], *, jobs: int = 1) -> Iterator[Event]:
        """Make sure that these visits are kept, several at once in processes of their own.

        Others that prepare the same visits share the work: each is done once.

        Args:
            visits: See ``recover``.
            jobs: Processes, one thread each.

        Yields:
            Progress, a note for each teacher that cannot be inverted; last ``Done(cost of all as a dict)``.
        """
        missing = [v for v in visits if not self._path(v).is_file()]
        yield Progress(len(visits) - len(missing), len(visits), "recovering tasks")
        source = self.zoo.connection.address if isinstance(self.zoo, RemoteZoo) else str(self.zoo.folder)
        common = (self.per_class, self.seed, str(self.device), self.asking.model_dump(), str(cache_root()))
        done, wait = len(visits) - len(missing), False
        while missing:
            busy: list[Visit] = []
            results = Parallel(n_jobs=jobs, return_as="generator_unordered")(
                delayed(_recover_one)(
                    source, self.inverter.name, self.inverter.config.model_dump(), visit, *common, wait
                )
                for visit in missing
            )
            for visit, problem in results:
                if problem is None:
                    busy.append(visit)
                    continue
                done += 1
                yield Progress(done, len(visits), "recovering tasks")
                if problem:
                    yield Note(0, problem, "rejected")
            # What others were at the first time is theirs; only where they failed is it left to do.
            missing, wait = busy, True
        total = dict.fromkeys(self.cost, 0.0)
        for visit in visits:
            task = self._read(visit)
            if task is not None:
                total["kept_seconds"] += task.cost.get("seconds", 0.0)
                total["passes"] += task.cost.get("passes", 0.0)
                total["queries"] += task.cost.get("queries", 0.0)
        yield Done(total)

    def bill(self, visits: Sequence[Visit]) -> None:
        """Count what kept recoveries once cost, where work that follows from them is taken from earlier."""
        for visit in visits:
            if visit not in self._billed:
                self._kept(visit)

    @property
    def plain(self) -> Recoveries:
        """These recoveries before anything else was done to them."""
        return self

    def mark(self, visit: Visit) -> str:
        """What tells a recovery from all others; work that follows from it alone can be kept under this name."""
        return self._path(visit).stem

    def oracle(self, visit: Visit) -> Oracle:
        """The oracle of a visit; black boxes draw their directions from the visit's own seed."""
        teacher, number = visit
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "directions", teacher, number))
        known = self._oracles.get(teacher)
        if known is None or not known.gives_statistics:
            known = make_oracle(self.zoo, teacher, self.asking, generator=generator, device=self.device)
            self._oracles[teacher] = known
        return known

    def state(self) -> dict[str, Any]:
        """What it cost so far, and for which visits."""
        return {"cost": dict(self.cost), "billed": sorted([teacher, number] for teacher, number in self._billed)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        self.cost = {name: float(flat[f"cost/{name}"]) for name in self.cost}
        self._billed = {(teacher, int(number)) for teacher, number in flat["billed"]}

    def _labels(self, teacher: str) -> torch.Tensor:
        return torch.arange(self.zoo.card(teacher).way).repeat_interleave(self.per_class)

    def _spend(self, visit: Visit, task: PseudoTask, *, seconds: float = 0.0, kept: bool = False) -> None:
        if kept and visit in self._billed:
            return  # paid for when it was first met
        self._billed.add(visit)
        task.cost["seconds"] = task.cost["seconds"] if kept else seconds
        self.cost["kept_seconds" if kept else "seconds"] += task.cost["seconds"]
        for name in ("passes", "queries"):
            self.cost[name] += task.cost.get(name, 0.0)

    def _kept(self, visit: Visit) -> PseudoTask | None:
        task = self._read(visit) if self.keep else None
        if task is not None:
            self._spend(visit, task, kept=True)
        return task

    def _read(self, visit: Visit) -> PseudoTask | None:
        path = self._path(visit)
        if not path.is_file():
            return None
        try:
            state, about = load_checkpoint(path)
            return PseudoTask(
                state["images"].float(), state["labels"], state["soft_targets"], visit[0], dict(about["cost"])
            )
        except (BadInput, KeyError):
            return None  # damaged: it is only a cache

    def _file(self, visit: Visit, task: PseudoTask) -> None:
        path = self._path(visit)
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {"images": task.images.half(), "labels": task.labels, "soft_targets": task.soft_targets}
        save_checkpoint(path, state, {"cost": task.cost})

    def _path(self, visit: Visit) -> Path:
        teacher, number = visit
        card = self.zoo.card(teacher)
        facts = {
            "format": FORMAT,
            "torch": torch.__version__,
            "device": self.device.type,
            "inverter": self.inverter.name,
            "config": json.loads(self.inverter.config.model_dump_json()),
            "asking": json.loads(self.asking.model_dump_json()),
            "zoo": self.zoo.name if isinstance(self.zoo, RemoteZoo) else "",
            "teacher": [card.model_dump_json(), card.sha256 or _file_mark(self.zoo, teacher)],
            "per_class": self.per_class,
            "seed": self.seed,
            "visit": number,
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        return cache_root() / "recovered" / f"{self.inverter.name}-{key}.safetensors"


def _file_mark(zoo: Zoo, teacher: str) -> str:
    """Stands in for the digest of a plain timm folder."""
    if isinstance(zoo, RemoteZoo):
        return ""
    found = (zoo.folder / teacher / "model.safetensors").stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


def _recover_one(
    source: str,
    inverter: str,
    config: dict,
    visit: Visit,
    per_class: int,
    seed: int,
    device: str,
    asking: dict,
    cache: str,
    wait: bool,
) -> tuple[Visit, str | None]:
    """In a process of its own: recover and keep one visit.

    Returns:
        The visit, and why it could not be recovered, or nothing; None where somebody else is at it and ``wait`` is off.
    """
    use_threads(1)
    end_with_parent()
    os.environ["DFML_CACHE"] = cache  # processes are used again, and may be older than the caller's setting
    cls, visit = INVERTERS.get(inverter), (visit[0], visit[1])
    try:
        recoveries = Recoveries(
            open_zoo(source), cls(cls.Config.parse(config)), per_class=per_class, seed=seed,
            device=torch.device(device), asking=AskingConfig.parse(asking),
        )  # fmt: skip
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
        return visit, None
    except BadInput as error:
        return visit, str(error)
    return visit, ""
