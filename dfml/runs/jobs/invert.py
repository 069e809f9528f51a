"""The work of an ``invert`` run: recover the tasks of one teacher, several, or a whole zoo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput, NotFinite, RunFailed
from dfml.core.events import Checkpoint, Done, Event, Images, Note, Progress, Scalars
from dfml.core.paths import read_json
from dfml.runs.folder import RECOVERED
from dfml.runs.grid import save_grid
from dfml.runs.jobs.against import against
from dfml.runs.jobs.context import JobContext, needed
from dfml.runs.jobs.fan_out import Order, recover_in_processes

if TYPE_CHECKING:
    from dfml.reports.recovery import Recovery
    from dfml.zoo.zoo import Zoo

TOGETHER = 32
"""Teachers that a GPU recovers in step; each holds its pictures, a generator and their gradients there."""
FAN_OUT_FROM = 4
"""Teachers from which processes of their own pay on the CPU: one takes seconds to start."""


def invert(context: JobContext) -> Iterator[Event]:
    """Recover tasks; a teacher whose recovery a checkpoint knows is not done again.

    On a GPU teachers are recovered together, on a CPU in processes of their own, one a thread.
    A report that no checkpoint knows does not count: the curves that belong to it were cut back.
    """
    from dfml.inversion.base import INVERTERS
    from dfml.inversion.warm_up import warm_up
    from dfml.reports.recovery import invert_teachers
    from dfml.zoo import open_zoo
    from dfml.zoo.oracles.choose import AskingConfig
    from dfml.zoo.remote.remote_zoo import RemoteZoo

    spec = context.spec
    cls = INVERTERS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    asking = AskingConfig.parse(spec.oracle)
    zoo = open_zoo(needed(spec.zoo, "zoo"))
    everyone = not spec.teachers or spec.teachers == ["all"]
    teachers = zoo.ids if everyone else list(dict.fromkeys(zoo.card(which).id for which in spec.teachers))
    state = context.state or {}
    offset, finished = int(state.get("offset", 0)), list(state.get("finished", []))
    extra = against(spec, zoo, teachers, context.device)
    reports = {t: read_json(context.folder / RECOVERED / t / "report.json", f"recovery {t}") for t in finished}
    problems = dict(zoo.problems) if everyone else {}
    todo = [t for t in teachers if t not in reports]
    work, warmed, newest = cls(config), None, 0
    context.tag = todo[0] if len(todo) == 1 else ""
    for event in warm_up(zoo, work, teachers, seed=spec.seed, device=context.device, asking=asking) if todo else ():
        if isinstance(event, Done):
            warmed = event.result
        else:
            newest = max(newest, event.step if isinstance(event, Scalars | Images) else 0)
            yield _moved(event, offset)
    if newest and not state:
        offset += newest
        yield Checkpoint(offset, {"offset": offset, "finished": []})

    def file(recovery: Recovery) -> None:
        teacher = recovery.report["teacher"]
        folder = context.folder / RECOVERED / teacher
        save_grid(recovery.task.images, folder / "grid.png")
        # Saved before the report on privacy: unusable real pictures must not cost the recovery.
        recovery.save(folder)
        if spec.data:
            recovery.report["privacy"] = _privacy(zoo, recovery, spec.data, folder)
            recovery.save(folder)
        reports[teacher] = recovery.report
        finished.append(teacher)

    threads = spec.threads or 1
    if (
        todo
        and context.device.type == "cpu"
        and len(teachers) >= FAN_OUT_FROM
        and threads > 1
        and not isinstance(zoo, RemoteZoo)
    ):
        order = Order(spec, work.state(), warmed, context.folder)
        for event in recover_in_processes(order, todo, jobs=min(threads, len(todo))):
            if isinstance(event, Progress):
                done = len(teachers) - len(todo)
                yield Progress(done * event.total // len(todo) + event.step, _scaled(event, teachers, todo), event.text)
                continue
            teacher, curves, recovery, problem = event
            if recovery is None:
                problems[teacher] = problem
                yield Note(offset, f"teacher {teacher} was left out: {problem}", "problem")
                continue
            context.tag = teacher
            for one in curves:
                yield _moved(one, offset)
            offset += max((one.step for one in curves), default=0)
            file(recovery)
            yield Checkpoint(offset, {"offset": offset, "finished": list(finished)})
    else:
        size = TOGETHER if context.device.type != "cpu" and not isinstance(zoo, RemoteZoo) else 1
        groups = [todo[start : start + size] for start in range(0, len(todo), size)]
        while groups:
            group = groups.pop(0)
            context.tag, newest = group[0] if len(group) == 1 else "", 0
            try:
                for event in invert_teachers(
                    zoo,
                    group,
                    work,
                    per_class=spec.per_class,
                    seed=spec.seed,
                    device=context.device,
                    asking=asking,
                    warmed=warmed,
                    extra_loss=extra,
                ):
                    if isinstance(event, Done):
                        for recovery in event.result:
                            file(recovery)
                        break
                    newest = max(newest, event.step)
                    yield _in_a_row(event, offset, len(finished), len(group), len(teachers))
            except (BadInput, NotFinite, MemoryError, RuntimeError) as error:
                broken = [t for t in group if t in zoo.problems]
                if isinstance(error, BadInput) and not broken:
                    raise
                if not isinstance(error, BadInput | NotFinite) and "out of memory" not in str(error):
                    raise
                offset += newest  # what this try has drawn stays before what the next one draws
                if not broken and len(group) > 1:
                    # One diverged, or all are too many for the device: smaller groups.
                    half = 1 if isinstance(error, NotFinite) else len(group) // 2
                    groups[:0] = [group[i : i + half] for i in range(0, len(group), half)]
                    continue
                broken = broken or group
                if len(teachers) == 1:
                    raise
                for teacher in broken:
                    problems[teacher] = str(error)
                    yield Note(offset, f"teacher {teacher} was left out: {error}", "problem")
                if rest := [t for t in group if t not in broken]:
                    groups.insert(0, rest)
                continue
            offset += newest
            yield Checkpoint(offset, {"offset": offset, "finished": list(finished)})
    found = [reports[t] for t in teachers if t in reports]
    if not found:
        raise RunFailed(f"no teacher could be inverted: {next(iter(problems.values()), 'none was asked for')}")
    yield Done({**_summary(found), "teachers": found, "problems": problems})


def _privacy(zoo: Zoo, recovery: Recovery, data: str, folder: Path) -> dict[str, Any]:
    from dfml.reports.privacy import privacy_report

    try:
        found = privacy_report(zoo, recovery.report["teacher"], recovery.task, data)
    except BadInput as error:
        return {"level": None, "verdict": f"no privacy report: {error}", "data": data}
    found.save(folder)
    return {"level": found.level, "verdict": found.verdict, "data": found.data}


def _scaled(event: Progress, teachers: list[str], todo: list[str]) -> int:
    return event.total * len(teachers) // max(1, len(todo))


def _moved(event: Event, offset: int) -> Event:
    """The event's step counted from the run's beginning."""
    if isinstance(event, Scalars):
        return Scalars(offset + event.step, event.values)
    if isinstance(event, Images):
        return Images(offset + event.step, event.tag, event.images, event.labels)
    return event


def _in_a_row(event: Event, offset: int, done: int, group: int, count: int) -> Event:
    """Steps of several teachers, group after group, on one axis."""
    if isinstance(event, Progress):
        return Progress(done * event.total + group * event.step, count * event.total, event.text)
    return _moved(event, offset)


def _summary(reports: list[dict[str, Any]]) -> dict[str, Any]:
    def numbers(name: str) -> list[float]:
        return [report[name] for report in reports if report.get(name) is not None]

    def mean(name: str) -> float | None:
        values = numbers(name)
        return sum(values) / len(values) if values else None

    def total(name: str) -> float | None:
        return sum(numbers(name)) if numbers(name) else None

    reference = total("reference_seconds")
    return {
        "teacher_accuracy": mean("teacher_accuracy"),
        "judge_agreement": mean("judge_agreement"),
        "diversity": mean("diversity"),
        "reference_seconds": None if reference is None else round(reference, 3),
        "inversion_seconds": round(total("seconds") or 0.0, 3),
        "warm_up_seconds": max((r["warm_up"]["seconds"] for r in reports if r.get("warm_up")), default=None),
        "images": int(total("images") or 0),
        "passes": total("passes"),
        "queries": int(total("queries") or 0),
    }
