"""Which runs a comparison consists of, checked before the first of them starts."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfml.bench.job import EPISODE_SEED, QUERY, BenchJob, Ledger
from dfml.bench.scenarios import Scenario, key_of_teachers
from dfml.bench.study_config import AccuracyConfig, StudyConfig
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import given_path
from dfml.data.episodes import EpisodeSampler
from dfml.data.folders import load_split
from dfml.data.splits import list_splits, split_folder
from dfml.meta.calibration import CALIBRATORS
from dfml.methods import METHODS
from dfml.runs.folder import RunFolder
from dfml.runs.lab.sweep import configs_of
from dfml.runs.spec import RunSpec, default_threads
from dfml.training.method import Method
from dfml.zoo import open_zoo

BASELINES = (
    "random", "no-teacher-patterns", "no-teacher-generators", "average", "ota", "best-teacher", "distill-one",
    "distill", "ensemble-features",
)  # fmt: skip
REFERENCE = "real-data"
STEPS = ("iterations", "warm_start", "warm_up", "boundary_after")
"""What a share is taken of."""


def all_methods() -> list[str]:
    """Every registered method: the floor and the other baselines first, the reference on real data last."""
    published = [name for name in METHODS if name not in (*BASELINES, REFERENCE)]
    return [name for name in (*BASELINES, *published, REFERENCE) if name in METHODS]


def cut(recipe: Config, share: float) -> Any:  # noqa: ANN401 - of the same class
    """A config with a share of its steps."""
    values = {name: getattr(recipe, name) for name in STEPS if getattr(recipe, name, 0)}
    return recipe.override({name: max(1, round(value * share)) for name, value in values.items()})


def check_data(config: StudyConfig, zoo: str, *, way: int) -> None:
    """Pack the images; raise BadInput where there are not enough for the episodes."""
    channels, size, _ = open_zoo(zoo).picture_shape
    for source in config.data:
        images = load_split(source, config.split, size=size, channels=channels)
        for shot in config.shots:
            EpisodeSampler(images, way=way, shot=shot, query=QUERY, episodes=1, seed=EPISODE_SEED)


def configs_for(config: AccuracyConfig) -> dict[str, Any]:
    """The config of each method of a comparison; raise BadInput where they or the data sets cannot be compared."""
    methods = all_methods() if config.methods is None else config.methods
    if not methods:
        raise BadInput(f"no method is given; known: {', '.join(METHODS)}.")
    if len(set(config.tested)) < len(config.data):
        raise BadInput(
            f"data sets are told apart by their names; received {', '.join(config.tested)}: rename a folder."
        )
    if config.calibrate:
        CALIBRATORS.get(config.calibrate)
    return configs_of(methods, config.preset, config.changes)


def plan(
    config: AccuracyConfig, scenario: Scenario, changed: Callable[[Any], Config] = lambda recipe: recipe
) -> list[BenchJob]:
    """One job a method, rate of pollution and seed, in the table's order; raise BadInput where any cannot be done.

    As published a method comes in all forms that its paper has. ``changed`` makes the config that is trained of the
    preset's.
    """
    configs = {method: changed(recipe) for method, recipe in configs_for(config).items()}
    forms = [
        (method, variant, recipe.override(changes))
        for method, recipe in configs.items()
        for variant, changes in {
            "": [],
            **(METHODS.get(method).variants if config.preset == "published" else {}),
        }.items()
    ]
    zoo = next(iter(scenario.zoos.values()))
    check_data(config, zoo, way=max(int(getattr(c, "way", 5)) for c in configs.values()))
    place = "-".join(part for part in (config.name, config.preset) if part not in ("SS", "demo"))
    place += "-own-recoveries" * config.own_recoveries
    return [
        job_of(
            config,
            Path(place, f"{'-'.join(filter(None, [method, variant]))}{'' if rate is None else f'-{rate}'}-seed{seed}"),
            method,
            recovering_anew(recipe, seed) if config.own_recoveries else recipe,
            variant=variant,
            zoo=zoo,
            seed=seed,
            scenario=config.name,
            rate=rate,
            prepares=METHODS.get(method).prepare is not Method.prepare,
            choice_episodes=None if config.calibrate else config.choice_episodes,
        )
        for method, variant, recipe in forms
        for (rate, seed), zoo in scenario.zoos.items()
    ]


def recovering_anew(recipe: Config, seed: int) -> Config:
    """The config with kept recoveries of a seed, where it has such."""
    return recipe.override({"recovery_seed": seed} if "recovery_seed" in type(recipe).model_fields else {})


def job_of(
    config: StudyConfig,
    folder: Path | str,
    method: str,
    recipe: Config,
    *,
    zoo: str,
    seed: int,
    label: str = "",
    **about: Any,  # noqa: ANN401 - any field
) -> BenchJob:
    """A job with further fields; raise BadInput where another run lies in its ``folder``, which is below ``work``."""
    own, refused = None, ""
    if not METHODS.get(method).data_free:  # the others validate on the embedded sample
        try:
            own = _training_data(config)
        except BadInput as error:
            refused = str(error)
    spec = RunSpec(
        kind="train",
        method=method,
        zoo=zoo,
        data=own,
        preset=config.preset,
        config=recipe.model_dump(mode="json"),
        seed=seed,
        device=config.device,
        threads=_threads(config),
        label=label,
    )
    asked = config.model_dump(include={"data", "split", "shots", "episodes", "calibrate", "jobs"})
    place = str((config.work / folder).absolute())
    job = BenchJob(spec=spec, folder=place, teachers=teachers_of(zoo), refused=refused, **asked, **about)
    refuse_another_run(job)
    return job


def refuse_another_run(job: BenchJob) -> None:
    """Raise BadInput where a job's folder holds another run, or one on other teachers."""
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
    return "" if opened.address else key_of_teachers([opened])


def _threads(config: StudyConfig) -> int | None:
    """What a run computes with; each worker of a cluster has one thread."""
    if config.cluster:
        return 1
    return None if config.jobs == 1 else max(1, default_threads() // config.jobs)


def _comparable(spec: RunSpec, name: str) -> Any:  # noqa: ANN401 - any field
    if name != "config":
        return getattr(spec, name)
    try:
        # An option that is younger than the run has its default there.
        return METHODS.get(spec.method).Config.parse(spec.config).model_dump(mode="json")
    except BadInput:
        return spec.config


def _training_data(config: StudyConfig) -> str:
    """What reference methods train on: the data set, or all of them as one folder of links."""
    sources = list(config.data)
    if len(sources) == 1:
        return sources[0]
    if any(source.startswith("sample:") or "train" not in list_splits(Path(source)) for source in sources):
        raise BadInput("it trains on one data set, or on several folders that all have a split train.")
    key = hashlib.sha256("\n".join(str(Path(source).resolve()) for source in sources).encode()).hexdigest()[:8]
    folder = config.work.absolute() / "data" / f"{'+'.join(config.tested)}-{key}"
    for source in map(given_path, sources):
        for split in list_splits(source):
            for kind in sorted(p for p in split_folder(source, split).iterdir() if p.is_dir() and p.name[0] != "."):
                link = folder / split / f"{source.name}-{kind.name}"
                if link.is_symlink():
                    continue
                try:
                    link.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(kind.resolve(), link, target_is_directory=True)
                except OSError as error:
                    raise BadInput(f"its data sets cannot be linked into one folder ({error.strerror}).") from None
    return str(folder)
