"""``bench heterogeneity``: is a zoo of teachers that are alike better to learn from than one of unlike teachers?

The question behind TGR (ICML 2024): teachers that are alike conflict less, but together they know less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from dfml.bench.heterogeneity_table import SETS, noted, sets_table, summarised, summary_table
from dfml.bench.job import BenchJob, Rows
from dfml.bench.plan import check_data, refuse_another_run, teachers_of
from dfml.bench.report import refuse_to_lose, write_report
from dfml.bench.study import do_jobs
from dfml.bench.study_config import HeterogeneityConfig, key_of
from dfml.core.config import Config
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Note, Progress, until_done
from dfml.core.names import same
from dfml.core.seeds import derive_seed
from dfml.methods import METHODS
from dfml.methods.tgr import Tgr
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec, default_threads
from dfml.training.groups import compare_zoo
from dfml.training.options import GroupingConfig
from dfml.training.taking_part import of_way
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import copy_model, new_zoo
from dfml.zoo.zoo import Zoo, write_zoo

PLAIN = {
    "tgr": {
        "groups": 1, "group_by": "random", "beta": 0.0, "iterations": 100, "validate_every": 100,
        "init": "random", "consensus": 0, "patience": 4, "replay_limit": 1,
    },
}  # fmt: skip
"""A plain recipe: all teachers of a set in one group, the mean of their gradients, replay, and a random start."""

Say = Callable[[str], None]


def bench_heterogeneity(config: HeterogeneityConfig, *, progress: Say = lambda line: None) -> dict[str, Any]:
    """Train on few teachers that are alike, and on as many that are not, and compare.

    For each seed one teacher is drawn; both sets begin with it and grow by the teacher that is most (least) similar to
    those chosen so far. The method trains on each set, ``tgr`` as a plain recipe, see ``PLAIN``. The table is written
    after each run; finished runs are taken as they are.

    Returns:
        ``rows`` (one a set, seed, shot and way of adapting), ``summary`` and the report's path.
    """
    from dfml.nets.device import pick_device

    if not config.sets:
        raise BadInput(f"no set of teachers is given; known: {', '.join(SETS)}.")
    for name in config.sets:
        if name not in SETS:
            raise BadInput(f"no set of teachers is called {name!r}; known: {', '.join(SETS)}.")
    zoo, (device, _) = open_zoo(config.zoo), pick_device(config.device)
    if zoo.address:
        raise BadInput("bench heterogeneity copies teachers into small zoos, which a server does not let us.")
    recipe, comparing = _recipes(config)
    check_data(config, config.zoo, way=int(getattr(recipe, "way", 5)))
    if config.teachers > len(zoo):
        raise BadInput(f"cannot choose {config.teachers} of {len(zoo)} teachers.")
    ids, matrix, probe = compared(zoo, comparing, device=device, progress=progress)
    planned = [(seed, name) for seed in config.seeds for name in config.sets]
    measured_as = {
        "method": config.method, "changes": config.changes, "teachers": config.teachers, "episodes": config.episodes,
        "split": config.split, "data": config.tested[0],
    }  # fmt: skip
    table = f"heterogeneity-{Path(config.zoo).name}-{config.preset}"
    refuse_to_lose(
        config.out / f"{table}.json",
        lambda row: (row["seed"], row["set"]) in planned and row["shots"] in config.shots,
        named="set",
        measured=measured_as,
    )
    cls, jobs, members = METHODS.get(config.method), [], []
    for seed, name in planned:
        members.append(chosen_teachers(matrix, config.teachers, name, seed))
        label = f"{name}-{config.teachers}-seed{seed}"
        small = small_zoo(zoo, [ids[i] for i in members[-1]], config.work / "zoos" / label)
        spec = RunSpec(
            kind="train", method=config.method, zoo=str(small), preset=config.preset,
            config=recipe.model_dump(mode="json"), seed=seed, device=config.device,
            label=f"{config.method} on {label}", data=None if cls.data_free else config.data[0],
        )  # fmt: skip
        job = BenchJob(
            spec=spec, folder=str((config.work / f"{config.method}-{label}").absolute()), scenario=name,
            data=config.data, split=config.split, shots=config.shots, episodes=config.episodes, ways="transductive",
            teachers=teachers_of(str(small)),
        )  # fmt: skip
        refuse_another_run(job)
        jobs.append(job)
    rows: Rows = []
    result: dict[str, Any] = {}
    with closing(do_jobs(jobs, side_by_side=1, device=str(device), progress=progress)) as outcomes:
        for position, outcome in outcomes:
            seed, name = planned[position]
            if "reason" in outcome:
                broken = BadInput if outcome["kind"] == "cannot" else RunFailed
                raise broken(f"{jobs[position].spec.label}: {outcome['reason']}")
            part = matrix[np.ix_(members[position], members[position])]
            about = {"set": name, **facts(jobs[position], part)}
            rows += [{**row, **about} for row in outcome["rows"]]
            missing = [f"{s} seed {n}" for n, s in planned[position + 1 :]]
            progress(f"[{position + 1}/{len(jobs)} done] {jobs[position].spec.label}")
            result = {"rows": rows, "summary": summarised(rows, config.sets)}
            notes = [f"Unfinished, still to come: {', '.join(missing)}. The same command goes on."] if missing else []
            plain = ", ".join(f"{key} {getattr(recipe, key)}" for key in PLAIN.get(config.method, {}))
            report = write_report(
                config.out,
                table,
                title=f"Similar against dissimilar teachers: {config.tested[0]}/{config.split}, zoo "
                f"{Path(config.zoo).name}",
                command=config.command,
                tables=[summary_table(result["summary"]), sets_table(rows)],
                notes=[*notes, *noted(rows, zoo, config, probe=probe, recipe=plain)],
                data={**result, "missing": missing, "measured": measured_as},
            )
    return {**result, "report": str(report)}


def _recipes(config: HeterogeneityConfig) -> tuple[Config, GroupingConfig]:
    """What trains on each set, and what compares the teachers; each takes those of the changes that it has."""
    cls = METHODS.get(config.method)
    found = [cls.preset(config.preset).override(PLAIN.get(config.method, {})), Tgr.preset(config.preset)]
    for change in config.changes:
        key = key_of(change)
        known = [key in type(each).model_fields for each in found]
        if not any(known):
            raise BadInput(f"neither {config.method} nor the comparison has an option {key!r}.")
        found = [each.override([change]) if has else each for each, has in zip(found, known, strict=True)]
    return found[0], found[1]


def compared(
    zoo: Zoo,
    config: GroupingConfig,
    *,
    device: Any,  # noqa: ANN401 - torch's device
    progress: Say,
) -> tuple[list[str], np.ndarray, str]:
    """Ids and similarity of all teachers, and what compared them."""
    kept: dict[str, Any] = {}

    def work() -> Iterator[Any]:
        jobs = default_threads() if device.type == "cpu" else 1
        teachers = of_way(zoo, config)
        kept["result"] = yield from until_done(compare_zoo(zoo, config, teachers, device=device, jobs=jobs))

    for event in work():
        if isinstance(event, Note) or (isinstance(event, Progress) and event.step % 10 == 0):
            progress(f"comparing teachers: {event.text}")
    found, _ = kept["result"]
    return list(found.ids), np.asarray(found.similarity), found.text.split("compared by the ")[-1].split(";")[0]


def chosen_teachers(matrix: np.ndarray, count: int, name: str, seed: int) -> list[int]:
    """Positions of a set's teachers; all sets of a seed begin with the same one."""
    from dfml.tasks.grouping import choose_alike

    rng = np.random.default_rng(derive_seed(seed, "heterogeneity"))
    first, *others = rng.permutation(len(matrix)).tolist()
    if name == "random":
        if count > len(matrix):
            raise BadInput(f"cannot choose {count} of {len(matrix)} teachers.")
        return [first, *others[: count - 1]]
    return choose_alike(matrix, count, first=first, alike=name == "similar")


def small_zoo(zoo: Zoo, ids: list[str], folder: Path) -> Path:
    """Copy some teachers into a zoo of their own; one that is there already is taken, if it holds the same."""
    if (folder / "zoo.json").is_file():
        there = {(card.id, card.sha256) for card in open_zoo(folder).cards}
        if there != {(card.id, card.sha256) for card in zoo.cards if card.id in ids}:
            raise BadInput(f"{folder} holds other teachers: remove it, or choose another --work.")
        return folder
    meta: dict[str, Any] = {"domain": zoo.domain, "shared_class_names": zoo.shared_class_names}
    if zoo.name_spaces is not None:
        meta["name_spaces"] = {i: space for i, space in zoo.name_spaces.items() if i in map(same, ids)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_zoo(folder) as part:
        for i in ids:
            copy_model(zoo.folder / i, part / i)
        write_zoo(part, models=ids, name=folder.name, **meta)
    return folder


def facts(job: BenchJob, matrix: np.ndarray) -> dict[str, Any]:
    """What tells the sets apart besides accuracy; ``matrix`` is the similarity of a set's teachers."""
    zoo, curves = open_zoo(job.spec.zoo), RunFolder(job.folder).scalars()
    alignment = [value for value in curves.get("grad/alignment", ([], []))[1] if value is not None]
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return {
        "teachers": len(zoo),
        "classes": len({key for keys in zoo.class_keys().values() for key in keys}),
        "similarity": float(off.mean()) if len(off) else 1.0,
        "alignment": float(np.mean(alignment)) if alignment else None,
    }
