"""``bench heterogeneity``: is a zoo of teachers that are alike better to learn from than one of unlike teachers?

The question behind TGR (ICML 2024): teachers that are alike conflict less, but together they know less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dfml.bench.heterogeneity_table import EPISODE_SEED, QUERY, SETS, Rows, noted, sets_table, summarised, summary_table
from dfml.bench.order import PROTOCOL, Ledger, digest_of
from dfml.bench.plan import check_data
from dfml.bench.report import refuse_to_lose, write_report
from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Note, Progress, until_done
from dfml.core.names import same
from dfml.core.seeds import derive_seed
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import fingerprint, load_split
from dfml.methods import METHODS
from dfml.methods.tgr import Tgr
from dfml.runs.driver import run_in_process
from dfml.runs.folder import MODEL, RunFolder
from dfml.runs.spec import RunSpec, default_threads
from dfml.training.groups import compare_zoo
from dfml.training.options import GroupingConfig
from dfml.training.taking_part import of_way
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import copy_model, new_zoo
from dfml.zoo.remote.remote_zoo import RemoteZoo
from dfml.zoo.zoo import Zoo, write_zoo

PLAIN = {
    "tgr": {
        "groups": 1, "group_by": "random", "beta": 0.0, "iterations": 100, "validate_every": 100,
        "init": "random", "consensus": 0, "patience": 4, "replay_limit": 1,
    },
}  # fmt: skip
"""A plain recipe: all teachers of a set in one group, the mean of their gradients, replay, and a random start."""

Say = Callable[[str], None]


def bench_heterogeneity(
    *,
    zoo: str,
    data: str,
    out: Path,
    work: Path,
    command: str,
    method: str = "tgr",
    preset: str = "demo",
    teachers: int = 10,
    sets: Iterable[str] = ("similar", "dissimilar"),
    seeds: Iterable[int] = (0, 1, 2),
    shots: Iterable[int] = (1, 5),
    episodes: int = 600,
    split: str = "test",
    device: str = "auto",
    changes: list[str] | None = None,
    progress: Say = lambda line: None,
) -> dict[str, Any]:
    """Train on few teachers that are alike, and on as many that are not, and compare.

    For each seed one teacher is drawn; both sets begin with it and grow by the teacher that is most (least) similar to
    those chosen so far. The table is written after each run; finished runs are taken as they are.

    Args:
        zoo: An embedded zoo's name or a folder.
        data: Pictures with the split.
        out: Folder of the table.
        work: Folder of the small zoos and their runs.
        command: For the report.
        method: Trains on each set; ``tgr`` as a plain recipe, see ``PLAIN``.
        preset: Of the method.
        teachers: Of a set.
        sets: Of ``similar``, ``random``, ``dissimilar``.
        seeds: Of the first teacher and of the training.
        shots: Support pictures a class.
        episodes: A row's number of episodes, the same for all sets.
        split: Of ``data``.
        device: See ``pick_device``.
        changes: ``key=value`` pairs for the method's and the comparison's options.
        progress: Told one line a step.

    Returns:
        ``rows`` (one a set, seed, shot and way of adapting), ``summary`` and the report's path.
    """
    from dfml.nets.device import pick_device

    sets, seeds, shots = (list(dict.fromkeys(given)) for given in (sets, seeds, shots))
    if not sets:
        raise BadInput(f"no set of teachers is given; known: {', '.join(SETS)}.")
    for name in sets:
        if name not in SETS:
            raise BadInput(f"no set of teachers is called {name!r}; known: {', '.join(SETS)}.")
    opened, (chosen, _) = open_zoo(zoo), pick_device(device)
    if isinstance(opened, RemoteZoo):
        raise BadInput("bench heterogeneity copies teachers into small zoos, which a server does not let us.")
    cls = METHODS.get(method)
    config = cls.preset(preset).override(PLAIN.get(method, {}))
    comparing = Tgr.preset(preset)
    for change in changes or []:
        key = change.split("=")[0].strip()
        known = [c for c in (config, comparing) if key in type(c).model_fields]
        if not known:
            raise BadInput(f"neither {method} nor the comparison has an option {key!r}.")
        config, comparing = (c.override([change]) if c in known else c for c in (config, comparing))
    check_data([data], zoo, split=split, shots=shots, way=int(getattr(config, "way", 5)))
    if teachers > len(opened):
        raise BadInput(f"cannot choose {teachers} of {len(opened)} teachers.")
    ids, matrix, probe = compared(opened, comparing, device=chosen, progress=progress)
    recipe = ", ".join(f"{key} {getattr(config, key)}" for key in PLAIN.get(method, {}))
    rows: Rows = []
    report = None
    orders = [(seed, name) for seed in seeds for name in sets]
    measured_as = {
        "method": method, "changes": changes or [], "teachers": teachers, "episodes": episodes, "split": split,
        "data": Path(data).name,
    }  # fmt: skip
    table = f"heterogeneity-{Path(zoo).name}-{preset}"
    refuse_to_lose(
        out / f"{table}.json",
        lambda row: (row["seed"], row["set"]) in orders and row["shots"] in shots,
        named="set",
        measured=measured_as,
    )
    for position, (seed, name) in enumerate(orders, 1):
        mine = chosen_teachers(matrix, teachers, name, seed)
        label = f"{name}-{teachers}-seed{seed}"
        small = small_zoo(opened, [ids[i] for i in mine], work / "zoos" / label)
        spec = RunSpec(
            kind="train", method=method, zoo=str(small), preset=preset, config=config.model_dump(mode="json"),
            seed=seed, device=device, label=f"{method} on {label}", data=None if cls.data_free else data,
        )  # fmt: skip
        progress(f"{label}: training")
        run, result = trained(spec, work / f"{method}-{label}")
        about = {"set": name, "seed": seed, **facts(open_zoo(small), matrix[np.ix_(mine, mine)], run, result)}
        for shot in shots:
            progress(f"{label}: {episodes} episodes of {shot} shots")
            found = measured(run, data, split, shot=shot, episodes=episodes, device=chosen)
            rows += [{**row, **about} for row in found]
        missing = [f"{s} seed {n}" for n, s in orders[position:]]
        summary = summarised(rows, sets)
        notes = noted(rows, opened, method=method, probe=probe, recipe=recipe, teachers=teachers, episodes=episodes)
        if missing:
            notes.insert(0, f"Unfinished, still to come: {', '.join(missing)}. The same command goes on.")
        report = write_report(
            out,
            table,
            title=f"Similar against dissimilar teachers: {Path(data).name}/{split}, zoo {Path(zoo).name}",
            command=command,
            tables=[summary_table(summary), sets_table(rows)],
            notes=notes,
            data={"rows": rows, "summary": summary, "missing": missing, "measured": measured_as},
        )
    return {"rows": rows, "summary": summarised(rows, sets), "report": str(report)}


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


def trained(spec: RunSpec, folder: Path) -> tuple[RunFolder, dict[str, Any]]:
    """Train in ``folder``, or take the finished run of an earlier call."""
    if (folder / "spec.json").is_file():
        run, wanted = RunFolder(folder), spec.recorded()
        for name in ("config", "zoo", "data", "seed"):
            if getattr(run.spec, name) != getattr(wanted, name):
                raise BadInput(f"{folder} holds a run with another {name}: remove it, or choose another --work.")
        result = run_in_process(run, resume=True)
    else:
        run = RunFolder.create(spec, path=folder)
        result = run_in_process(run)
    if result["state"] == "stopped":
        raise RunFailed(f"{spec.label} was stopped: the same command goes on from there.")
    return run, result


def facts(zoo: Zoo, matrix: np.ndarray, run: RunFolder, result: dict[str, Any]) -> dict[str, Any]:
    """What tells the sets apart besides accuracy."""
    alignment = [v for v in run.scalars().get("grad/alignment", ([], []))[1] if v is not None]
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return {
        "teachers": len(zoo),
        "classes": len({key for keys in zoo.class_keys().values() for key in keys}),
        "similarity": float(off.mean()) if len(off) else 1.0,
        "alignment": float(np.mean(alignment)) if alignment else None,
        "seconds": result["seconds"],
    }


def measured(run: RunFolder, data: str, split: str, *, shot: int, episodes: int, device: Any) -> Rows:  # noqa: ANN401
    """Transductive rows of a run's model; those measured before are taken as they are."""
    from dfml.meta.evaluation import evaluate
    from dfml.meta.model import MetaModel

    ledger = Ledger(run.path, run.spec.created)
    protocol = f"{PROTOCOL} {fingerprint(data, split)} {split} {shot} {episodes} {digest_of(run.path)}"
    found = ledger.rows(protocol)
    if found is None:
        model = MetaModel.load(run.path / MODEL)
        channels, size, _ = model.input_size
        sampler = EpisodeSampler(
            load_split(data, split, size=size, channels=channels),
            way=model.way, shot=shot, query=QUERY, episodes=episodes, seed=EPISODE_SEED,
        )  # fmt: skip
        found = [row.row() for row in evaluate(model, sampler, bn=["transductive"], device=device)]
        for row in found:
            row["evaluation_seconds"] = row.pop("seconds")
        ledger.add_rows(protocol, found)
    return found
