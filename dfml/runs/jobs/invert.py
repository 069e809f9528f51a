"""The work of an ``invert`` run: recover the tasks of one teacher, several, or a whole zoo."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput, NotFinite, RunFailed, StopRequested
from dfml.core.events import Checkpoint, Done, Event, Images, Note, Progress, Scalars, until_done
from dfml.core.paths import given_path, read_json
from dfml.data.splits import check_source
from dfml.runs.folder import RECOVERED
from dfml.runs.grids import save_grid
from dfml.runs.jobs.recover_apart import Outcome, loss_against, need_same_way, recover_apart
from dfml.runs.spec import JobContext, RunSpec
from dfml.zoo.oracles.asking import refuse_above_budget

if TYPE_CHECKING:
    from dfml.inversion.recipe import Recipe
    from dfml.reports.recovery import Recovery
    from dfml.zoo.zoo import Zoo

TOGETHER = 32
"""Teachers that a GPU recovers in step; each holds its images, a generator and their gradients there."""
FAN_OUT_FROM = 4
"""Teachers from which processes of their own pay on the CPU: one takes seconds to start."""


def check(spec: RunSpec) -> None:
    """See what options, cards and paths tell against an inversion before it is queued, without torch; ``BadInput``."""
    from dfml.meta.stored import NETWORK, check_model, read_network, refuse_ensemble
    from dfml.zoo import open_zoo
    from dfml.zoo.oracles.asking import AskingConfig
    from dfml.zoo.zoo import answers_only_queries

    zoo, asking = open_zoo(spec.needed("zoo")), AskingConfig.parse(spec.oracle)
    wanted = [zoo.card(which) for which in spec.teachers if which != "all"] or zoo.cards
    black = [card for card in wanted if answers_only_queries(zoo, card.id, asking)]
    if spec.data is not None:
        check_source(spec.data, "train")
    if spec.cluster and zoo.address:
        raise BadInput("the teachers of a server are asked from here: leave --cluster out.")
    if asking.budget is not None and len(wanted) == len(black) == 1:  # of several, one may suffice
        images, steps = black[0].way * spec.per_class, int(spec.config.get("steps", 0))
        refuse_above_budget(asking, black[0].id, images, steps)
    if spec.against is None:
        return
    if spec.method == "dynamic-set":
        raise BadInput("dynamic-set takes no extra loss: invert against a model with another inverter.")
    against = given_path(spec.against)
    card = check_model(against)
    if card["kind"] != NETWORK:
        refuse_ensemble("teachers cannot disagree with it")
    way = read_network(against, card)[0]["num_classes"]
    for teacher in wanted:
        need_same_way(spec, way, teacher)


def invert(context: JobContext) -> Generator[Event, None, None]:
    """Recover tasks; a teacher whose recovery a checkpoint knows is not done again.

    On a GPU teachers are recovered together, on a CPU in processes of their own, one a thread.
    A report that no checkpoint knows does not count: the curves that belong to it were cut back.
    """
    from dfml.inversion.base import INVERTERS
    from dfml.inversion.pipeline import warm_up
    from dfml.inversion.recipe import Recipe
    from dfml.zoo import open_zoo
    from dfml.zoo.oracles.asking import AskingConfig

    spec, folder, device = context.spec, context.folder / RECOVERED, context.device
    cls = INVERTERS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    zoo = open_zoo(spec.needed("zoo"))
    recipe = Recipe(zoo, cls(config), spec.per_class, spec.seed, device, AskingConfig.parse(spec.oracle))
    everyone = not spec.teachers or spec.teachers == ["all"]
    teachers = zoo.ids if everyone else list(dict.fromkeys(zoo.card(which).id for which in spec.teachers))
    state = context.state or {}
    offset = int(state.get("offset", 0))
    recipe = replace(recipe, extra_loss=loss_against(spec, recipe, teachers))
    reports = {t: read_json(folder / t / "report.json", f"recovery {t}") for t in state.get("finished", [])}
    problems = dict(zoo.problems) if everyone else {}
    todo = [t for t in teachers if t not in reports]
    newest = 0
    context.tag = todo[0] if len(todo) == 1 else ""
    for event in warm_up(recipe, teachers) if todo else ():
        if isinstance(event, Done):
            recipe = replace(recipe, warmed=event.result)
        else:
            newest = max(newest, event.step if isinstance(event, Scalars | Images) else 0)
            yield _moved(event, offset)
    if newest and not state:
        offset += newest
        yield Checkpoint(offset, {"offset": offset, "finished": []})
    in_turn = device.type == "cpu" or bool(zoo.address)
    apart = in_turn and len(teachers) >= FAN_OUT_FROM and (spec.threads or 1) > 1 and not zoo.address
    apart |= bool(spec.cluster)
    if todo and apart:
        stream = recover_apart(recipe, spec, context.folder, todo)
    else:
        stream = _recover_in_groups(recipe, context, todo, 1 if in_turn else TOGETHER, only=len(teachers) == 1)
    for event in stream:
        if isinstance(event, Progress):
            # What was recovered at an earlier time stands on the same axis.
            each = event.total // len(todo)
            yield Progress((len(teachers) - len(todo)) * each + event.step, len(teachers) * each, event.text)
            continue
        if not isinstance(event, Outcome):
            yield _moved(event, offset)
            continue
        context.tag = event.tag
        for one in event.curves:
            yield _moved(one, offset)
        offset += event.steps
        for teacher, problem in event.problems.items():
            problems[teacher] = problem
            yield Note(offset, f"teacher {teacher} was left out: {problem}", "problem")
        for recovery in event.recoveries:
            teacher = recovery.task.teacher_id
            if problem := (yield from _file(recovery, zoo, spec, folder / teacher)):
                yield Note(offset, f"teacher {teacher}: {problem}", "problem")
            reports[teacher] = recovery.report
        if event.recoveries:
            yield Checkpoint(offset, {"offset": offset, "finished": list(reports)})
    found = [reports[t] for t in teachers if t in reports]
    if not found:
        raise RunFailed(f"no teacher could be inverted: {next(iter(problems.values()), 'none was asked for')}")
    yield Done({**_summary(found), "teachers": found, "problems": problems})


def _recover_in_groups(
    recipe: Recipe, context: JobContext, teachers: list[str], size: int, *, only: bool
) -> Iterator[Event | Outcome]:
    """Recover ``size`` teachers at a time in step, fewer where that fails; an ``only`` teacher is not left out."""
    from dfml.inversion import pipeline
    from dfml.reports.recovery import reported

    groups, done = [teachers[start : start + size] for start in range(0, len(teachers), size)], 0
    while groups:
        group, newest = groups.pop(0), 0
        context.tag = tag = group[0] if len(group) == 1 else ""
        try:
            for event in reported(recipe, pipeline.recover_teachers(recipe, group)):
                if isinstance(event, Done):
                    yield Outcome(tag, newest, event.result)
                    continue
                newest = max(newest, event.step)
                if isinstance(event, Progress):
                    step = done * event.total + len(group) * event.step
                    event = Progress(step, len(teachers) * event.total, event.text)
                yield event
            done += len(group)
        except (BadInput, NotFinite, MemoryError, RuntimeError) as error:
            left_out, smaller = pipeline.after_failure(error, group, recipe.zoo.problems)
            if left_out and only:
                raise
            groups[:0] = smaller
            # What this try has drawn stays before what the next one draws.
            yield Outcome(tag, newest, problems=dict.fromkeys(left_out, str(error) or type(error).__name__))


def _file(recovery: Recovery, zoo: Zoo, spec: RunSpec, folder: Path) -> Generator[Event, None, str]:
    """Write a recovery, and its privacy report where ``data`` names the real images; return why a part is missing."""
    from dfml.reports.membership import teacher_membership
    from dfml.reports.privacy import privacy_report, real_pictures

    data, which = spec.data, recovery.task.teacher_id
    save_grid(recovery.task.images, folder / "grid.png")
    # Saved before the report on privacy, whose failure must not cost the recovery.
    recovery.save(folder)
    if not data:
        return ""
    problem, told = "", {"level": None, "verdict": "", "data": data, "membership": []}
    try:
        found = privacy_report(zoo, which, recovery.task, data)
        # Saved before its membership tests, whose failure or kill must not cost the distances.
        replace(found, notes=[*found.notes, "The membership tests did not end."]).save(folder)
        told |= {"level": found.level, "verdict": found.verdict, "data": found.data}
        real = real_pictures(zoo, which, data, device=recovery.task.images.device)
        asked = teacher_membership(zoo, real, zoo.card(which), shadows=spec.shadows, jobs=spec.threads or 1)
        found = replace(found, membership=(yield from until_done(asked)))
        found.save(folder)
        told["membership"] = [test.verdict for test in found.membership]
    except StopRequested:
        raise
    except Exception as error:  # foreign images of any kind, too little memory
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        problem = f"no {'membership tests' if told['level'] else 'privacy report'}: {reason}"
        told |= {"membership": [problem]} if told["level"] else {"verdict": problem}
    recovery.report["privacy"] = told
    recovery.save(folder)
    return problem


def _moved(event: Event, offset: int) -> Event:
    """Return the event with its step counted from the run's beginning."""
    return replace(event, step=offset + event.step) if isinstance(event, Scalars | Images) else event


def _summary(reports: list[dict[str, Any]]) -> dict[str, Any]:
    def numbers(name: str) -> list[float]:
        return [report[name] for report in reports if report.get(name) is not None]

    means = {name: numbers(name) for name in ("teacher_accuracy", "judge_agreement", "diversity")}
    reference, passes = numbers("reference_seconds"), numbers("passes")
    return {
        **{name: sum(values) / len(values) if values else None for name, values in means.items()},
        "reference_seconds": round(sum(reference), 3) if reference else None,
        "inversion_seconds": round(sum(numbers("seconds")), 3),
        "warm_up_seconds": max((r["warm_up"]["seconds"] for r in reports if r.get("warm_up")), default=None),
        "images": sum(numbers("images")),
        "passes": sum(passes) if passes else None,
        "queries": int(sum(numbers("queries"))),
    }
