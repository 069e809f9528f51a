"""``bench heterogeneity``: is a zoo of teachers that are alike better to learn from than one of unlike teachers?

The question behind TGR (ICML 2024): teachers that are alike conflict less, but together they know less.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dfml.bench.job import EPISODE_SEED, QUERY, BenchJob, Row, Rows, Say
from dfml.bench.plan import check_data, job_of
from dfml.bench.report import grouped, markdown_table, mean_interval, over_seeds, refuse_to_lose, write_report
from dfml.bench.study import Outcome, do_study
from dfml.bench.study_config import Each, StudyConfig, key_of
from dfml.core.config import Options
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Done, Note, Progress
from dfml.core.names import same
from dfml.core.seeds import derive_seed
from dfml.methods import METHODS
from dfml.methods.tgr import Tgr
from dfml.runs.folder import RunFolder
from dfml.runs.lab.sweep import changes_of
from dfml.runs.spec import default_threads
from dfml.tasks.grouping import choose_alike
from dfml.training.options import GroupingConfig
from dfml.training.taking_part import everyone
from dfml.training.used_classes import as_used
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import copy_model, new_zoo
from dfml.zoo.zoo import Zoo, write_zoo

if TYPE_CHECKING:
    import torch

SETS = ("similar", "random", "dissimilar")
PLAIN = {
    "tgr": {
        "groups": 1, "group_by": "random", "beta": 0.0, "iterations": 100, "validate_every": 100,
        "init": "random", "consensus": 0, "patience": 4, "replay_limit": 1,
    },
}  # fmt: skip
"""A plain recipe: all teachers of a set in one group, the mean of their gradients, replay, and a random start."""


class HeterogeneityConfig(StudyConfig):
    """``bench heterogeneity``: teachers that are alike, and as many that are not."""

    options = "data zoo method preset teachers sets seeds shots episodes split device set_ cluster work out"
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    method: str = Field("tgr", description="What trains on each set of teachers.")
    teachers: int = Field(10, ge=2, description="Teachers of a set.")
    sets: Each[str] = Field(("similar", "dissimilar"), description="Sets of teachers: similar,random,dissimilar.")
    seeds: Each[int] = Field((0, 1, 2), description="Number of seeds, from 0: of the first teacher and of training.")
    work: Path = Field(Path("runs/heterogeneity"), description="Folder of the runs; finished ones are not done again.")


def bench_heterogeneity(config: HeterogeneityConfig, *, progress: Say = lambda line: None) -> Row:
    """Train on few similar teachers and on as many dissimilar ones, with one budget, and compare.

    For each seed one teacher is sampled; both sets begin with it and grow by the teacher that is most (least) similar
    to those chosen so far. The method trains on each set, ``tgr`` as in ``PLAIN``. The table is written after each run.

    Returns:
        ``rows`` (one a set, seed, shot and way of adapting), ``summary`` and the report's path.
    """
    unknown = [name for name in config.sets if name not in SETS]
    if unknown or not config.sets:
        what = f"called {unknown[0]!r}" if unknown else "given"
        raise BadInput(f"no set of teachers is {what}; known: {', '.join(SETS)}.")
    zoo = open_zoo(config.zoo)
    if zoo.address:
        raise BadInput("bench heterogeneity copies teachers into small zoos, which a server does not let us.")
    # What trains on each set, and what compares the teachers; each takes those of the changes that it has.
    both = [METHODS.get(config.method).preset(config.preset).override(PLAIN.get(config.method, {}))]
    both.append(Tgr.preset(config.preset))
    for change in config.changes:
        if not any(changes_of(each, [change]) for each in both):
            raise BadInput(f"neither {config.method} nor the comparison has an option {key_of(change)!r}.")
    recipe, comparing = (each.override(changes_of(each, config.changes)) for each in both)
    if config.teachers > len(zoo):
        raise BadInput(f"cannot choose {config.teachers} of {len(zoo)} teachers.")
    planned = [(seed, name) for seed in config.seeds for name in config.sets]
    measured = {
        "method": config.method, "changes": config.changes, "teachers": config.teachers, "episodes": config.episodes,
        "split": config.split, "data": config.tested[0],
    }  # fmt: skip
    table = f"heterogeneity-{Path(config.zoo).name}-{config.preset}"
    refuse_to_lose(
        config.out / f"{table}.json",
        lambda row: (row["seed"], row["set"]) in planned and row["shots"] in config.shots,
        named="set",
        measured=measured,
    )
    check_data(config, config.zoo, way=int(getattr(recipe, "way", 5)))

    from dfml.nets.device import pick_device, use_threads

    use_threads()
    device, _ = pick_device(config.device)
    ids, matrix, probe = compared(zoo, comparing, device=device, progress=progress, cluster=config.cluster)
    jobs, likeness = [], []
    for seed, name in planned:
        members = chosen_teachers(matrix, config.teachers, name, seed)
        likeness.append(matrix[np.ix_(members, members)])
        label = f"{name}-{config.teachers}-seed{seed}"
        small = str(small_zoo(zoo, [ids[i] for i in members], config.work / "zoos" / label))
        about = {"scenario": name, "variant": name, "ways": "transductive", "label": f"{config.method} on {label}"}
        jobs.append(job_of(config, f"{config.method}-{label}", config.method, recipe, zoo=small, seed=seed, **about))

    def report(outcomes: dict[int, Outcome]) -> Row:
        rows: Rows = []
        for position, outcome in outcomes.items():
            job = jobs[position]
            if "reason" in outcome:
                broken = BadInput if outcome["kind"] == "cannot" else RunFailed
                raise broken(f"{job.spec.label}: {outcome['reason']}")
            about = {"set": job.variant, **facts(job, likeness[position])}
            rows += [{**row, **about} for row in outcome["rows"]]
        missing = [f"{name} seed {seed}" for seed, name in planned[len(outcomes) :]]
        result = {"rows": rows, "summary": summarised(rows, config.sets)}
        notes = [f"Unfinished, still to come: {', '.join(missing)}. The same command goes on."] * bool(missing)
        runs = [over_fitted(run, recipe) for run in grouped(rows, "set", "seed").values()]
        plain = ", ".join(f"{key} {getattr(recipe, key)}" for key in PLAIN.get(config.method, {}))
        path = write_report(
            config,
            table,
            title=f"Similar against dissimilar teachers: {config.tested[0]}/{config.split}, zoo "
            f"{Path(config.zoo).name}",
            tables=[
                summary_table(result["summary"]),
                markdown_table(
                    "set | seed | teachers | classes | mean similarity | gradient alignment | recovered tasks "
                    "| over-fitted | seconds",
                    "{set} | {seed} | {teachers} | {classes} | {similarity:.3f} | {alignment:.3f} | {memory:±} | "
                    "{gap:±} | {seconds:.0f}",
                    sorted(runs, key=lambda r: (SETS.index(r["set"]), r["seed"])),
                ),
            ],
            notes=[*notes, *noted(rows, zoo, config, probe=probe, recipe=plain)],
            data={**result, "missing": missing, "measured": measured},
        )
        return {**result, "report": path}

    return do_study(jobs, report, config, device=str(device), progress=progress)


def compared(
    zoo: Zoo, config: GroupingConfig, *, device: torch.device, progress: Say, cluster: str = ""
) -> tuple[list[str], np.ndarray, str]:
    """Ids and similarity of all teachers, and what compared them."""
    from dfml.training.recovered import compare_zoo

    jobs = cluster or (default_threads() if device.type == "cpu" else 1)
    zoo = as_used(zoo, config, 0)
    for event in compare_zoo(zoo, config, everyone(zoo), device=device, jobs=jobs):
        if isinstance(event, Done):
            found, _ = event.result
        elif isinstance(event, Note) or (isinstance(event, Progress) and event.step % 10 == 0):
            progress(f"comparing teachers: {event.text}")
    return list(found.ids), np.asarray(found.similarity), found.text.split("compared by the ")[-1].split(";")[0]


def chosen_teachers(matrix: np.ndarray, count: int, name: str, seed: int) -> list[int]:
    """Positions of a set's teachers; all sets of a seed begin with the same one."""
    order = np.random.default_rng(derive_seed(seed, "heterogeneity")).permutation(len(matrix)).tolist()
    if name == "random":
        return order[:count]
    return choose_alike(matrix, count, first=order[0], alike=name == "similar")


def small_zoo(zoo: Zoo, ids: list[str], folder: Path) -> Path:
    """Copy some teachers into a zoo of their own; one that is there already is taken, if it holds the same."""
    if (folder / "zoo.json").is_file():
        there = {(card.id, card.sha256) for card in open_zoo(folder).cards}
        if there != {(card.id, card.sha256) for card in zoo.cards if card.id in ids}:
            raise BadInput(f"{folder} holds other teachers: remove it, or choose another --work.")
        return folder
    meta: Row = {"domain": zoo.domain, "shared_class_names": zoo.shared_class_names}
    if zoo.name_spaces is not None:
        meta["name_spaces"] = {i: space for i, space in zoo.name_spaces.items() if i in map(same, ids)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_zoo(folder) as part:
        for i in ids:
            copy_model(zoo.folder / i, part / i)
        write_zoo(part, models=ids, name=folder.name, **meta)
    return folder


def facts(job: BenchJob, matrix: np.ndarray) -> Row:
    """What tells the sets apart besides accuracy; ``matrix`` is the similarity of a set's teachers."""
    zoo, curves = open_zoo(job.spec.needed("zoo")), RunFolder(job.folder).scalars()
    alignment = [value for value in curves.get("grad/alignment", ([], []))[1] if value is not None]
    memory = curves.get("memory/accuracy", ([], []))[1]
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return {
        "teachers": len(zoo),
        "classes": len({key for keys in zoo.class_keys().values() for key in keys}),
        "similarity": float(off.mean()),
        "alignment": float(np.mean(alignment)) if alignment else None,
        "memory": memory[-1] if memory else None,
    }


def over_fitted(run: Rows, recipe: Options) -> Row:
    """The last row of a run, with how far it does better on tasks of its memory than on new classes (``gap``).

    Both are adapted alike, with as many support images; None where the table has no such row.
    """
    from dfml.meta.learners import LEARNERS

    way = LEARNERS.get(recipe.learner).default_adaptation
    alike = [r for r in run if (r["shots"], r["adapt"]) == (recipe.shot, way) and r.get("memory") is not None]
    return {**run[-1], "gap": alike[0]["memory"] - alike[0]["accuracy"] if alike else None}


def summarised(rows: Rows, sets: tuple[str, ...]) -> Rows:
    """For each shot and way of adapting the mean accuracy of each set, and of the pairs' differences."""
    found = []
    for (shot, adapt), mine in grouped(rows, "shots", "adapt").items():
        of = {name: {r["seed"]: r for r in mine if r["set"] == name} for name in SETS}
        entry: Row = {"shots": shot, "adapt": adapt, "sets": {}}
        for name in sets:
            if of[name]:
                accuracy, half = over_seeds(list(of[name].values()))
                entry["sets"][name] = {"accuracy": accuracy, "ci95": half}
        shared = sorted(of["dissimilar"].keys() & of["similar"].keys())
        if shared:
            gaps = [of["dissimilar"][s]["accuracy"] - of["similar"][s]["accuracy"] for s in shared]
            entry["difference"] = {"accuracy": sum(gaps) / len(gaps), "ci95": mean_interval(gaps)[1]}
        found.append(entry)
    return found


def summary_table(summary: Rows) -> str:
    """One line a shot and way of adapting."""
    names = list(dict.fromkeys(name for entry in summary for name in entry["sets"]))
    cells = " | ".join(f"{{{name}[accuracy]:±{{{name}[ci95]}}}}" for name in [*names, "difference"])
    unknown = {"accuracy": None, "ci95": None}
    rows = [{**dict.fromkeys([*names, "difference"], unknown), **entry, **entry["sets"]} for entry in summary]
    header = " | ".join(["shots | adapting", *names, "dissimilar - similar"])
    return markdown_table(header, f"{{shots}} | {{adapt}} | {cells}", rows)


def noted(rows: Rows, zoo: Zoo, config: HeterogeneityConfig, *, probe: str, recipe: str) -> list[str]:
    """What a reader must know."""
    several = len({r["seed"] for r in rows}) > 1
    return [
        f"Accuracies in per cent over {config.episodes} episodes of {QUERY} queries per class, transductive, sampled "
        f"once from seed {EPISODE_SEED}. "
        + ("± is the 95 % interval over the seeds (Student's t)." if several else "± is that over episodes."),
        f"Each set holds {config.teachers} of the {len(zoo)} teachers; the sets of a seed begin with the same one and "
        "grow by the one most (least) similar on average to those chosen so far. All train for as many rounds.",
        "classes: different classes that a set's teachers know; sets differ in that too, so it is part of what is "
        "compared.",
        f"Similarity: TGR's, by the {probe}, which chose the teachers; if it saw real images, that is side information "
        "of every row. gradient alignment: mean pairwise cosine of the gradients of the teachers of a step, over the "
        "whole training.",
        "recovered tasks: accuracy at the end on tasks of the memory; over-fitted: what it exceeds that on new classes "
        "by, both with the support images of training and adapted alike.",
        f"Trained with {config.method}" + (f": {recipe}." if recipe else "."),
    ]
