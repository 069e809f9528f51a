"""``bench ablations``: each part of a method taken away, one at a time, over the same episodes."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field

from dfml.bench.ablations.ablation_table import arm_rows, disagreeing, method_tables, plan_table, shown_notes
from dfml.bench.ablations.arms import ARMS, GIVEN, Arm
from dfml.bench.heterogeneity import small_zoo
from dfml.bench.job import BenchJob, Row, Rows, Say, finished_rows
from dfml.bench.plan import STEPS, check_data, cut, job_of
from dfml.bench.report import refuse_to_lose, write_report
from dfml.bench.scenarios import key_of_teachers, set_up
from dfml.bench.study import Outcome, do_study
from dfml.bench.study_config import AccuracyConfig, Each, One, StudyConfig
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import read_json, write_json
from dfml.core.seeds import derive_seed
from dfml.methods import METHODS
from dfml.runs.folder import RunFolder
from dfml.runs.lab.sweep import changes_of, configs_of
from dfml.training.method import Method
from dfml.zoo import open_zoo

PLAN = "minutes.json"
"""In the folder of the runs: what each arm is expected to take."""
CALIBRATED = 60
"""Episodes of an arm that calibrates."""


class AblationConfig(StudyConfig):
    """``bench ablations``: the parts of methods, one at a time."""

    options = (
        "data zoo source methods arms preset share shots seeds episodes split device set_ "
        "estimate jobs cluster work out"
    )
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    source: str | None = Field(
        None, description="A zoo of a further domain, of teapot's arms that name it; left out without one."
    )
    preset: str = Field("published", description="demo, published or paper.")
    share: float = Field(0.25, gt=0, le=1, description="Share of the preset's iterations and warm-up in each run.")
    methods: Each[str] | None = Field(None, description="Methods, with commas; all that have arms, if left out.")
    arms: Each[str] | None = Field(None, description="Arms, with commas, by name; all, if left out.")
    shots: One[int] = Field((5,), description="Support images per class of the test.")
    seeds: Each[int] = Field((0, 1), description="Number of seeds, from 0; one more where these disagree.")
    episodes: int = Field(300, ge=1, description="Episodes of a row, the same for all rows.")
    estimate: bool = Field(False, description="Only measure what each arm would take, and write that table.")
    work: Path = Field(Path("runs/ablations"), description="Folder of the runs; finished ones are not done again.")


def bench_ablations(config: AblationConfig, *, progress: Say = lambda line: None) -> Row:
    """Train methods with each of their parts off, one at a time, and compare over the same episodes.

    Each arm is an ordinary run, so that what was finished is not done again and what was stopped goes on. An arm whose
    seeds disagree on whether it makes a difference, and what it is compared with, are trained with one more seed.

    Returns:
        ``rows`` (one an arm, seed and way of adapting, with the difference), ``failures``, ``minutes`` (one an arm) and
        the report's path.
    """
    arms = chosen_arms(config)
    open_zoo(config.zoo)
    configs_of(dict.fromkeys(arm.method for arm in arms), config.preset, config.changes)
    name = f"ablations-{Path(config.zoo).name}-{config.preset}" + "-minutes" * config.estimate
    before = _stored(config, name, arms)
    check_data(config, config.zoo, way=5)
    seeds = list(config.seeds)
    first = _jobs(config, arms, seeds, progress)
    if config.estimate:
        return _report(config, name, _minutes(config, first, progress), [], {}, before=before, left=[])

    from dfml.nets.device import pick_device, use_threads

    use_threads()
    device, _ = pick_device(config.device)
    done: list[tuple[Arm, BenchJob]] = []
    outcomes: dict[int, Outcome] = {}
    result: Row = {}
    more: list[tuple[Arm, BenchJob]] = []
    # What is calibrated is a model of another arm, which has to be there.
    for further, calibrates in product((False, True), repeat=2):
        if further and not calibrates:
            again = disagreeing(arm_rows([arm for arm, _ in done], [job for _, job in done], outcomes), arms)
            more = _jobs(config, [arm for arm in arms if arm in again], [max(seeds) + 1], progress)
        planned = [pair for pair in (more if further else first) if bool(pair[0].calibrate) == calibrates]
        if not planned:
            continue
        earlier = list(done)

        def report(found: dict[int, Outcome], now: Any = planned, earlier: Any = earlier) -> Row:  # noqa: ANN401
            outcomes.update({len(earlier) + position: outcome for position, outcome in found.items()})
            to_come = [job.label for position, (_, job) in enumerate(now) if position not in found]
            minutes = _minutes(config, first, progress)
            return _report(config, name, minutes, [*earlier, *now], outcomes, before=before, left=to_come)

        done += planned
        result = do_study([job for _, job in planned], report, config, device=str(device), progress=progress)
    return result


def _measured(config: AblationConfig) -> Row:
    """What all rows of a table share."""
    return {
        "preset": config.preset, "share": config.share, "split": config.split, "shots": list(config.shots),
        "episodes": config.episodes, "changes": config.changes, "data": config.tested[0],
    }  # fmt: skip


def _stored(config: AblationConfig, name: str, arms: list[Arm]) -> Row:
    """What a table has of other arms, which stays; BadInput: it was measured otherwise."""
    path = config.out / f"{name}.json"
    # A table that tells no share is of whole runs.
    refuse_to_lose(path, lambda row: True, named="arm", measured=_measured(config), of=_measured_before)
    stored = read_json(path, "results") if path.is_file() else {}
    asked = {(arm.method, arm.name) for arm in arms}
    return {
        part: [row for row in stored.get(part) or [] if (row["method"], row["arm"]) not in asked]
        for part in ("rows", "failures", "minutes")
    }


def _measured_before(stored: Row) -> Row:
    return {"share": 1.0, **stored.get("measured", {})}


def chosen_arms(config: AblationConfig) -> list[Arm]:
    """The arms that are asked for, each after what it is compared with; BadInput: there is no such one."""
    known = list(dict.fromkeys(arm.method for arm in ARMS))
    for method in config.methods or ():
        if method not in known:
            raise BadInput(f"no arms of {method!r}.{nearest(method, known)} Known: {', '.join(known)}.")
    arms = [arm for arm in ARMS if config.methods is None or arm.method in config.methods]
    if config.arms is not None:
        names = list(dict.fromkeys(arm.name for arm in arms))
        for name in config.arms:
            if name not in names:
                raise BadInput(f"no arm {name!r}.{nearest(name, names)} Known: {', '.join(names)}.")
        wanted = [arm for arm in arms if arm.name in config.arms]
        needed = {(arm.method, arm.against) for arm in wanted} | {(arm.method, arm.name) for arm in wanted}
        arms = [arm for arm in arms if (arm.method, arm.name) in needed]
    if config.source is not None:
        open_zoo(config.source)
        return arms
    without = [arm for arm in arms if dict(arm.polluted).get("source") == GIVEN]
    if config.arms is not None and without:
        raise BadInput(f"arm {without[0].name!r} wants a zoo of a further domain: give one with --source.")
    return [arm for arm in arms if arm not in without]


def _jobs(config: AblationConfig, arms: list[Arm], seeds: list[int], progress: Say) -> list[tuple[Arm, BenchJob]]:
    """All arms of the first seed before those of the second."""
    return [(arm, _job(config, arm, seed, progress)) for seed in seeds for arm in arms]


def _job(config: AblationConfig, arm: Arm, seed: int, progress: Say) -> BenchJob:
    cls = METHODS.get(arm.method)
    recipe = cut(cls.preset(config.preset).override(list(arm.changes)), config.share)
    recipe = recipe.override(changes_of(recipe, config.changes))
    trained = arm.against if arm.calibrate else arm.name
    job = job_of(
        config,
        f"{arm.method}-{slug(trained)}-seed{seed}",
        arm.method,
        recipe,
        zoo=_zoo(config, arm, seed, progress),
        seed=seed,
        label=f"{arm.method}: {arm.name}",
        scenario="ablation",
        variant=arm.name,
        ways="transductive",
        prepares=cls.prepare is not Method.prepare,
    )
    if arm.calibrate:
        # A calibration takes seconds an episode; its gain is measured on its own episodes.
        job = job.model_copy(update={"calibrate": arm.calibrate, "episodes": min(job.episodes, CALIBRATED)})
    return job


def _zoo(config: AblationConfig, arm: Arm, seed: int, progress: Say) -> str:
    """The zoo of an arm: the whole one, some of its teachers, or a polluted one."""
    if arm.polluted:
        how = dict(arm.polluted)
        asked = AccuracyConfig(
            data=config.data, name="polluted", zoo=config.zoo, rates=(how["rate"],), attack=how["attack"],
            source=config.source if how["source"] == GIVEN else None, clean=how["clean"], seeds=(seed,),
            work=config.work, preset=config.preset,
        )  # fmt: skip
        return set_up(asked, progress).zoos[how["rate"], seed]
    if arm.teachers is None:
        return config.zoo
    import numpy as np

    zoo = open_zoo(config.zoo)
    if arm.teachers > len(zoo):
        raise BadInput(f"cannot choose {arm.teachers} of {len(zoo)} teachers.")
    order = np.random.default_rng(derive_seed(seed, "ablations")).permutation(len(zoo)).tolist()
    ids = [zoo.cards[i].id for i in sorted(order[: arm.teachers])]
    return str(small_zoo(zoo, ids, config.work / "zoos" / f"{arm.teachers}-{key_of_teachers([zoo])}-seed{seed}"))


def slug(name: str) -> str:
    """A name for a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _minutes(config: AblationConfig, jobs: list[tuple[Arm, BenchJob]], progress: Say) -> Rows:
    """What each arm takes with one seed: measured where it was done, else as a short slice of it told."""
    from dfml.runs.costs.cost import cost_of

    path = config.work / PLAN
    known = read_json(path, "minutes") if path.is_file() else {}
    found: Rows = []
    for arm, job in jobs:
        if job.spec.seed != config.seeds[0]:
            continue
        run = RunFolder(job.folder)
        seconds, how = None, "measured"
        if finished_rows(job) is not None:
            seconds = float((run.result() or {}).get("seconds") or 0.0)
        elif not arm.calibrate:
            about = [Path(job.spec.zoo or "").name, job.spec.threads, sorted(job.spec.config.items())]
            key, how = f"{arm.method}: {arm.name}: {about}", "estimated"
            if key not in known and config.estimate:
                progress(f"measuring what {job.label} will take")
                least, most = cost_of(job.spec).seconds
                known[key] = least if most is None else (least + most) / 2
                config.work.mkdir(parents=True, exist_ok=True)
                write_json(path, known)
            seconds = known.get(key)
        minutes = None if seconds is None else seconds / 60
        how = how if minutes is not None else "not yet"
        found.append({"method": arm.method, "arm": arm.name, "minutes": minutes, "how": how})
    return found


def _report(
    config: AblationConfig, name: str, minutes: Rows, pairs: list[tuple[Arm, BenchJob]], outcomes: dict[int, Outcome],
    *, before: Row, left: list[str],
) -> Row:  # fmt: skip
    rows = arm_rows([arm for arm, _ in pairs], [job for _, job in pairs], outcomes)
    given = {(arm.method, arm.name) for arm, _ in pairs if dict(arm.polluted).get("source") == GIVEN}
    for row in rows:
        if config.source is not None and (row["method"], row["arm"]) in given:
            row["source"] = open_zoo(config.source).name
    failures = [
        {"arm": arm.name, **job.about, **outcomes[position]}
        for position, (arm, job) in enumerate(pairs)
        if "reason" in outcomes.get(position, {})
    ]
    place = {(arm.method, arm.name): position for position, arm in enumerate(ARMS)}

    def in_order(part: str, new: Rows) -> Rows:
        return sorted([*before[part], *new], key=lambda row: place.get((row["method"], row["arm"]), len(place)))

    rows, failures, minutes = in_order("rows", rows), in_order("failures", failures), in_order("minutes", minutes)
    notes = [f"Unfinished, still to come: {len(left)} runs. The same command goes on."] * bool(left)
    if config.share < 1:
        notes.append(
            f"So that all fit into hours, each run takes {config.share:.0%} of its preset's {', '.join(STEPS)}."
        )
    sources = sorted({row["source"] for row in rows if "source" in row})
    notes += [f"The teachers of the given domain are those of {', '.join(sources)}."] * bool(sources)
    notes += [f"{f['method']}, {f['arm']}, seed {f['seed']}: {f['kind']}: {f['reason']}" for f in failures]
    written = write_report(
        config,
        name,
        title=f"What the parts of methods are worth: {config.tested[0]} ({config.split}), zoo "
        f"{Path(config.zoo).name}, preset {config.preset}",
        tables=[*method_tables(rows, ARMS), *plan_table(minutes, len(config.seeds))],
        notes=[*notes, *shown_notes(rows, config.episodes, config.shots[0])],
        data={
            "rows": rows, "failures": failures, "minutes": minutes, "missing": left, "measured": _measured(config),
        },
    )  # fmt: skip
    return {"rows": rows, "failures": failures, "minutes": minutes, "report": written}
