"""Recovering many teachers on a CPU: one process a thread, through joblib.

joblib's backend decides where they run: local processes, unless ``joblib.parallel_config`` says otherwise.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from dfml.core.errors import BadInput, DfmlError, NotFinite, RunFailed
from dfml.core.events import Done, Progress, Scalars
from dfml.core.process import end_with_parent
from dfml.runs.spec import RunSpec

if TYPE_CHECKING:
    from dfml.inversion.warm_up import WarmUp
    from dfml.reports.recovery import Recovery

PROGRESS = "progress"
LOOK_SECONDS = 0.5
PARTS = 100

Outcome = tuple[str, list[Scalars], "Recovery | None", str]
"""A teacher's id, its curves, what was recovered or None, and why not."""


@dataclass(frozen=True)
class Order:
    """What a process needs to know.

    Attributes:
        spec: The run's.
        learned: The warmed-up inverter's state.
        warmed: For the reports.
        folder: The run's folder; a process writes only its progress there.
    """

    spec: RunSpec
    learned: dict[str, Any]
    warmed: WarmUp | None
    folder: Path


def recover_in_processes(order: Order, teachers: list[str], *, jobs: int) -> Iterator[Progress | Outcome]:
    """Recover each teacher in a process with one thread.

    Args:
        order: See ``Order``.
        teachers: Ids.
        jobs: Processes at a time.

    Yields:
        ``Progress`` at least once a second, in hundredths of a teacher, and an ``Outcome`` whenever one is done.

    Raises:
        RunFailed: A process died.
    """
    folder = order.folder / PROGRESS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    results = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_recover_one)(order, teacher) for teacher in teachers
    )
    total, done = PARTS * len(teachers), 0
    # joblib's generator blocks until a teacher is done; the run must be able to stop in between.
    waiter = ThreadPoolExecutor(1)
    try:
        while done < len(teachers):
            waiting = waiter.submit(next, results)
            while True:
                try:
                    outcome = waiting.result(timeout=LOOK_SECONDS)
                    break
                except NotYet:
                    yield Progress(_how_far(folder), total, f"{done} of {len(teachers)} teachers recovered")
            done += 1
            # Even where all were done between two looks, the run has told how far it was.
            yield Progress(_how_far(folder), total, f"{done} of {len(teachers)} teachers recovered")
            yield outcome
    except DfmlError:
        raise
    except Exception as error:
        name = type(error).__name__
        raise RunFailed(
            f"a process that recovered teachers died ({name}: {' '.join(str(error).split())[:200]}); what was "
            "finished is kept: resume the run, with fewer threads if memory was short."
        ) from error
    finally:
        if done < len(teachers):
            # Ends the local processes at once, and with them the wait of the thread.
            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)
        waiter.shutdown(wait=True, cancel_futures=True)
        results.close()
    shutil.rmtree(folder, ignore_errors=True)


def _how_far(folder: Path) -> int:
    parts = 0
    for path in folder.iterdir():
        text = path.read_text(encoding="ascii", errors="ignore")
        parts += int(text) if text.isdigit() else 0
    return parts


def _recover_one(order: Order, teacher: str) -> Outcome:
    """In a process of its own: recover one teacher."""
    import torch

    from dfml.inversion.base import INVERTERS
    from dfml.inversion.warm_up import warm_up
    from dfml.nets.device import use_threads
    from dfml.reports.recovery import invert_teachers
    from dfml.runs.jobs.against import against
    from dfml.zoo import open_zoo
    from dfml.zoo.oracles.choose import AskingConfig

    use_threads(1)
    end_with_parent()
    spec, mark = order.spec, order.folder / PROGRESS / teacher
    cls, asking, zoo = INVERTERS.get(spec.method), AskingConfig.parse(spec.oracle), open_zoo(spec.zoo)
    work = cls(cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset))
    curves: list[Scalars] = []
    cpu = torch.device("cpu")
    try:
        if order.learned:
            work.load(order.learned)
        else:
            for _ in () if work.learns else warm_up(zoo, work, [teacher], seed=spec.seed, device=cpu, asking=asking):
                pass  # an inverter that only meets its helpers
        extra = against(spec, zoo, [teacher], cpu)
        for event in invert_teachers(
            zoo,
            [teacher],
            work,
            per_class=spec.per_class,
            seed=spec.seed,
            asking=asking,
            warmed=order.warmed,
            extra_loss=extra,
        ):
            if isinstance(event, Done):
                mark.write_text(str(PARTS), encoding="ascii")
                return teacher, curves, event.result[0], ""
            if isinstance(event, Scalars):
                curves.append(event)
            if isinstance(event, Progress) and event.step % max(1, event.total // 20) == 0:
                mark.write_text(str(PARTS * event.step // event.total), encoding="ascii")
    except (BadInput, NotFinite) as error:
        if teacher not in zoo.problems and not isinstance(error, NotFinite):
            raise
        mark.write_text(str(PARTS), encoding="ascii")
        return teacher, [], None, str(error)
    raise RunFailed(f"teacher {teacher} was not recovered.")
