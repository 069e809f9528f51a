"""What each kind of run does: a generator of events whose last is ``Done(a dict for result.json)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Checkpoint, Done, Event, Images, Note, Progress, Scalars
from dfml.runs.folder import MODEL, RECOVERED, RunFolder
from dfml.runs.spec import RunSpec

if TYPE_CHECKING:
    import torch

    from dfml.core.config import Config
    from dfml.data.episodes import EpisodeSampler
    from dfml.meta.model import MetaModel
    from dfml.zoo.zoo import Zoo

TEST_EPISODES, TEST_SHOT, TEST_QUERY, TEST_SEED = 200, 5, 15, 0
_PHASE = "job/phase"


@dataclass
class JobContext:
    """What a job is given.

    Attributes:
        spec: The order.
        folder: The run's folder; a job writes only below names of its own, such as ``model``.
        device: A ``torch.device``.
        device_reason: Why that one.
        state: Of the newest checkpoint, or None.
        emit: Files an event at once, for callbacks that cannot yield; raises ``StopRequested``.
        tag: Set by the job: recorded with every event, such as the teacher's id.
    """

    spec: RunSpec
    folder: Path
    device: torch.device
    device_reason: str
    state: dict[str, Any] | None
    emit: Callable[[Event], None]
    tag: str = ""


Job = Callable[[JobContext], Iterator[Event]]
JOBS: dict[str, Job] = {}


def register_job(kind: str) -> Callable[[Job], Job]:
    """Return a decorator that files a generator function as the work of ``kind``."""

    def file(job: Job) -> Job:
        JOBS[kind] = job
        return job

    return file


@register_job("train")
def train(context: JobContext) -> Iterator[Event]:
    """Meta-train, save the model, and test it on novel classes where there are any."""
    import torch

    from dfml.meta.model import MetaModel
    from dfml.methods import METHODS
    from dfml.zoo import open_zoo

    spec = context.spec
    cls = METHODS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    zoo = open_zoo(_needed(spec.zoo, "zoo"))
    sampler, why_not = _test_episodes(zoo, spec, config)
    state = context.state or {}
    if state.get(_PHASE) == "test":
        model, step = MetaModel.load(context.folder / MODEL), int(state["step"])
    else:
        model, step = None, 0
        generator = torch.Generator().manual_seed(spec.seed)
        for event in cls(config).train(
            zoo, data=spec.data, device=context.device, generator=generator, state=context.state
        ):
            if isinstance(event, Done):
                model = event.result
                break
            step = max(step, event.step)
            yield event
        if model is None:
            raise RunFailed(f"method {spec.method!r} ended without a model.")
        details = {"method": spec.method, "preset": spec.preset, "seed": spec.seed, "run": context.folder.name}
        model.save(context.folder / MODEL, {**details, "config": config.model_dump(mode="json")})
        yield Checkpoint(step, {_PHASE: "test", "step": step})
    tested = None
    if sampler is None:
        yield Note(step, f"not tested: {why_not}", "test")
    else:
        tested = _test(context, model, sampler)
        yield Scalars(step, {"test/accuracy": tested["test_accuracy"], "test/ci95": tested["ci95"]})
    yield Done(
        {
            "model": str(context.folder / MODEL),
            "val_accuracy": _validation_accuracy(context.folder, config),
            **(tested or {"test_accuracy": None, "ci95": None}),
        }
    )


def _test_episodes(zoo: Zoo, spec: RunSpec, config: Config) -> tuple[EpisodeSampler | None, str]:
    """The test's episodes, made before the training so that unusable data is named at once."""
    from dfml.data.episodes import EpisodeSampler
    from dfml.data.folders import list_splits, load_split
    from dfml.methods.validation import data_source

    source = data_source(zoo, spec.data)
    if source is None:
        return None, "no --data was given, and no sample of the zoo's domain is embedded."
    if not source.startswith("sample:") and "test" not in list_splits(Path(source)):
        return None, f"{source} has no test split."
    channels, size, _ = zoo.picture_shape
    try:
        split = load_split(source, "test", size=size, channels=channels)
        way = int(getattr(config, "way", 5))
        sampler = EpisodeSampler(
            split, way=way, shot=TEST_SHOT, query=TEST_QUERY, episodes=TEST_EPISODES, seed=TEST_SEED
        )
    except BadInput as error:
        if spec.data is not None:
            raise
        return None, str(error)
    return sampler, ""


def _test(context: JobContext, model: MetaModel, sampler: EpisodeSampler) -> dict[str, Any]:
    from dfml.data.episodes import EpisodeSampler
    from dfml.meta.evaluation import evaluate

    if sampler.way > model.way:
        sampler = EpisodeSampler(
            sampler.data, way=model.way, shot=sampler.shot, query=sampler.query, episodes=len(sampler), seed=TEST_SEED
        )
    adapt = "centroid" if model.learner.name == "protonet" else "steps"
    text = f"testing on {sampler.data.name}"

    def progress(done: int, total: int) -> None:
        context.emit(Progress(done, total, text))

    (row,) = evaluate(model, sampler, bn=("transductive",), adapt=(adapt,), device=context.device, progress=progress)
    return {
        "test_accuracy": row.accuracy,
        "ci95": row.ci95,
        "test_data": sampler.data.name,
        "shots": row.shots,
        "bn": row.bn,
        "adapt": row.adapt,
        "episodes": row.episodes,
    }


def _validation_accuracy(folder: Path, config: Config) -> float | None:
    """The accuracy on validation classes of the weights that were kept."""
    measured = [value for value in RunFolder(folder).scalars().get("val/accuracy", ([], []))[1] if value is not None]
    if not measured:
        return None
    return max(measured) if getattr(config, "keep", "last") == "best" else measured[-1]


@register_job("invert")
def invert(context: JobContext) -> Iterator[Event]:
    """Recover one task after another; a teacher whose recovery a checkpoint knows is not done again.

    A report that no checkpoint knows does not count: the curves that belong to it were cut back.
    """
    from dfml.core.paths import read_json
    from dfml.inversion.base import INVERTERS
    from dfml.inversion.session import invert_teacher
    from dfml.runs.grid import save_grid
    from dfml.zoo import open_zoo

    spec = context.spec
    cls = INVERTERS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    zoo = open_zoo(_needed(spec.zoo, "zoo"))
    everyone = not spec.teachers or spec.teachers == ["all"]
    teachers = zoo.ids if everyone else list(dict.fromkeys(zoo.card(which).id for which in spec.teachers))
    reports: list[dict[str, Any]] = []
    problems = dict(zoo.problems) if everyone else {}
    state = context.state or {}
    offset, finished = int(state.get("offset", 0)), list(state.get("finished", []))
    for position, teacher in enumerate(teachers):
        folder = context.folder / RECOVERED / teacher
        context.tag = teacher
        if teacher in finished and (folder / "report.json").is_file():
            reports.append(read_json(folder / "report.json", f"recovery {teacher}"))
            continue
        newest = 0
        try:
            for event in invert_teacher(
                zoo, teacher, spec.method, config, per_class=spec.per_class, seed=spec.seed, device=context.device
            ):
                if isinstance(event, Done):
                    save_grid(event.result.task.images, folder / "grid.png")
                    event.result.save(folder)
                    reports.append(event.result.report)
                    break
                newest = max(newest, event.step)
                yield _in_a_row(event, offset, position, len(teachers))
        except BadInput as error:
            if len(teachers) == 1 or teacher not in zoo.problems:
                raise
            problems[teacher] = str(error)
            yield Note(offset, f"teacher {teacher} was left out: {error}", "problem")
            continue
        offset += newest
        finished.append(teacher)
        yield Checkpoint(offset, {"offset": offset, "finished": list(finished)})
    if not reports:
        raise RunFailed(f"no teacher could be inverted: {next(iter(problems.values()), 'none was asked for')}")
    yield Done({**_summary(reports), "teachers": reports, "problems": problems})


def _in_a_row(event: Event, offset: int, position: int, count: int) -> Event:
    """Steps of several teachers, one after another on one axis."""
    if isinstance(event, Progress):
        return Progress(position * event.total + event.step, count * event.total, event.text)
    if isinstance(event, Scalars):
        return Scalars(offset + event.step, event.values)
    if isinstance(event, Images):
        return Images(offset + event.step, event.tag, event.images, event.labels)
    return event


def _summary(reports: list[dict[str, Any]]) -> dict[str, Any]:
    def mean(name: str) -> float | None:
        values = [report[name] for report in reports if report.get(name) is not None]
        return sum(values) / len(values) if values else None

    def total(name: str) -> float:
        return sum(report.get(name) or 0 for report in reports)

    return {
        "teacher_accuracy": mean("teacher_accuracy"),
        "judge_agreement": mean("judge_agreement"),
        "reference_seconds": round(total("reference_seconds"), 3),
        "inversion_seconds": round(total("seconds"), 3),
        "images": int(total("images")),
        "queries": int(total("queries")),
    }


@register_job("pretrain")
def pretrain(context: JobContext) -> Iterator[Event]:
    """Train the teachers of a zoo; those that are whole are kept, so a stopped run goes on."""
    from dfml.zoo.plans import PretrainConfig
    from dfml.zoo.pretrain import pretrain_zoo

    spec = context.spec
    config = PretrainConfig.parse({"seed": spec.seed, **spec.config})
    architectures = [name.strip() for name in spec.method.split(",") if name.strip()]
    out = context.folder / "zoo"
    started = Progress(0, config.models, "reading the pictures")
    yield started

    def report(done: int, total: int, teacher: str, accuracy: float) -> None:
        context.emit(Progress(done, total, f"teacher {teacher}"))
        context.emit(Scalars(done, {"zoo/accuracy": accuracy}))
        context.emit(Checkpoint(done, {"done": done}))

    accuracies = pretrain_zoo(
        Path(_needed(spec.data, "data")),
        out,
        architectures,
        config,
        jobs=min(spec.threads or 1, config.models),
        report=report,
    )
    yield Done({"zoo": str(out), "models": len(accuracies), "accuracy": sum(accuracies) / len(accuracies)})


def _needed(value: str | None, name: str) -> str:
    if not value:
        raise BadInput(f"--{name} is missing: this run needs it.")
    return value
