"""Which runs a comparison consists of, checked before the first of them starts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dfml.bench.job import BenchJob, Ledger
from dfml.bench.scenarios import Scenario, key_of_teachers
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import list_splits, load_split
from dfml.methods import METHODS
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec, default_threads
from dfml.training.method import Method
from dfml.zoo import open_zoo
from dfml.zoo.remote.remote_zoo import RemoteZoo

QUERY = 15
EPISODE_SEED = 0
BASELINES = ("random", "average", "ota", "best-teacher", "distill", "ensemble-features")
CEILING = "real-data"


def all_methods() -> list[str]:
    """Every registered method: the floor and the other baselines first, the ceiling last."""
    published = [name for name in METHODS if name not in (*BASELINES, CEILING)]
    return [name for name in (*BASELINES, *published, CEILING) if name in METHODS]


def changes_of(config: Config, changes: list[str]) -> list[str]:
    """Those of the ``key=value`` pairs whose option a config has."""
    return [change for change in changes if change.split("=")[0].strip() in type(config).model_fields]


def configs_of(methods: Iterable[str], preset: str, changes: list[str]) -> dict[str, Config]:
    """The config of each method; an option of one method does not fail the others.

    Raises:
        BadInput: An unknown method or preset, an option that none of them has, or a value out of its range.
    """
    found = {name: METHODS.get(name).preset(preset) for name in methods}
    for change in changes:
        key = change.split("=")[0].strip()
        if not any(key in config.model_fields for config in map(type, found.values())):
            raise BadInput(f"none of {', '.join(found)} has an option {key!r}.")
    for name, config in found.items():
        try:
            found[name] = config.override(changes_of(config, changes))
        except BadInput as error:
            raise BadInput(f"{name}: {error}") from None
    return found


def check_data(data: list[str], zoo: str, *, split: str, shots: Iterable[int], way: int) -> None:
    """Pack the pictures, and see that there are enough for the episodes.

    Raises:
        BadInput: There are not, or no such data.
    """
    channels, size, _ = open_zoo(zoo).picture_shape
    for source in data:
        pictures = load_split(source, split, size=size, channels=channels)
        for shot in shots:
            EpisodeSampler(pictures, way=way, shot=shot, query=QUERY, episodes=1, seed=EPISODE_SEED)


def plan(
    scenario: Scenario,
    *,
    data: list[str],
    methods: Iterable[str],
    seeds: Iterable[int],
    preset: str,
    changes: list[str],
    work: Path,
    device: str,
    jobs: int,
    shots: list[int],
    episodes: int,
    split: str,
    calibrate: str | None = None,
) -> list[BenchJob]:
    """One order a method, rate of pollution and seed, in the order of the table; see ``bench_accuracy``.

    Raises:
        BadInput: Something cannot be used, or a folder holds another run.
    """
    methods, seeds = list(dict.fromkeys(methods)), list(dict.fromkeys(seeds))
    if not methods:
        raise BadInput(f"no method is given; known: {', '.join(METHODS)}.")
    names = [Path(source).name for source in data]
    if len(set(names)) < len(names):
        raise BadInput(f"data sets are told apart by their names; received {', '.join(names)}: rename a folder.")
    if calibrate:
        from dfml.meta.calibration import CALIBRATORS

        CALIBRATORS.get(calibrate)
    configs = configs_of(methods, preset, changes)
    zoo = next(iter(scenario.zoos.values()))
    check_data(data, zoo, split=split, shots=shots, way=max(int(getattr(c, "way", 5)) for c in configs.values()))
    place = "-".join(part for part in (scenario.name, preset) if part not in ("SS", "demo"))
    orders = []
    teachers = {name: teachers_of(name) for name in set(scenario.zoos.values())}
    for method in methods:
        cls, own, refused = METHODS.get(method), None, ""
        if not cls.data_free:  # the others validate on the embedded sample
            try:
                own = _training_data(data, work)
            except BadInput as error:
                refused = str(error)
        for rate in scenario.rates:
            for seed in seeds:
                rated = f"-{rate}" if rate is not None else ""
                orders.append(
                    BenchJob(
                        spec=RunSpec(
                            kind="train",
                            method=method,
                            zoo=scenario.zoos[rate, seed],
                            data=own,
                            preset=preset,
                            config=configs[method].model_dump(mode="json"),
                            seed=seed,
                            device=device,
                            threads=None if jobs == 1 else max(1, default_threads() // jobs),
                        ),
                        folder=str((work / place / f"{method}{rated}-seed{seed}").absolute()),
                        scenario=scenario.name,
                        rate=rate,
                        data=data,
                        split=split,
                        shots=shots,
                        query=QUERY,
                        episodes=episodes,
                        episode_seed=EPISODE_SEED,
                        calibrate=calibrate,
                        jobs=jobs,
                        teachers=teachers[scenario.zoos[rate, seed]],
                        refused=refused,
                        prepares=cls.prepare is not Method.prepare,
                    )
                )
    for order in orders:
        refuse_another_run(order)
    return orders


def refuse_another_run(job: BenchJob) -> None:
    """See that a job's folder is free, or holds its own run.

    Raises:
        BadInput: It holds another one.
    """
    folder = Path(job.folder)
    if not (folder / "spec.json").is_file():
        return
    found, wanted = RunFolder(folder).spec, job.spec.recorded()
    for name in ("method", "config", "zoo", "data", "seed"):
        if _comparable(found, name) != _comparable(wanted, name):
            raise BadInput(f"{folder} holds a run with another {name}: remove it, or choose another --work.")
    trained_on = Ledger(folder, found.created)["teachers"]
    if trained_on and job.teachers and trained_on != job.teachers:
        raise BadInput(
            f"{folder} holds a run on other teachers than those that are now in {job.spec.zoo}: remove it, or choose "
            "another --work."
        )


def teachers_of(zoo: str) -> str:
    """See ``key_of_teachers``; empty for a server's, which nobody can vouch for."""
    opened = open_zoo(zoo)
    return "" if isinstance(opened, RemoteZoo) else key_of_teachers([opened])


def _comparable(spec: RunSpec, name: str) -> Any:  # noqa: ANN401 - any field
    if name != "config":
        return getattr(spec, name)
    try:
        # An option that is younger than the run has its default there.
        return METHODS.get(spec.method).Config.parse(spec.config).model_dump(mode="json")
    except BadInput:
        return spec.config


def _training_data(data: list[str], work: Path) -> str:
    """What reference methods train on: the data set, or all of them as one folder of links.

    Raises:
        BadInput: They cannot be put together.
    """
    if len(data) == 1:
        return data[0]
    if any(source.startswith("sample:") or "train" not in list_splits(Path(source)) for source in data):
        raise BadInput("it trains on one data set, or on several folders that all have a split train.")
    key = hashlib.sha256("\n".join(str(Path(source).resolve()) for source in data).encode()).hexdigest()[:8]
    folder = work.absolute() / "data" / f"{'+'.join(Path(source).name for source in data)}-{key}"
    for source in data:
        for split in list_splits(Path(source)):
            for kind in sorted(p for p in (Path(source) / split).iterdir() if p.is_dir() and p.name[0] != "."):
                link = folder / split / f"{Path(source).name}-{kind.name}"
                if link.is_symlink():
                    continue
                try:
                    link.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(kind.resolve(), link, target_is_directory=True)
                except OSError as error:
                    raise BadInput(f"its data sets cannot be linked into one folder ({error.strerror}).") from None
    return str(folder)
