"""The work of a ``train`` run: meta-train, save, test on new classes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput, RunFailed
from dfml.core.events import Checkpoint, Done, Event, Note, Progress, Scalars
from dfml.data.splits import check_sizes, splits_of
from dfml.runs.costs.cost import least_bytes, refuse_too_large
from dfml.runs.folder import MODEL, START, RunFolder
from dfml.runs.spec import JobContext, RunSpec
from dfml.training.options import VALIDATION_QUERY, MetaTrainingConfig

if TYPE_CHECKING:
    from dfml.core.config import Config
    from dfml.data.episodes import EpisodeSampler
    from dfml.meta.model import MetaModel
    from dfml.zoo.zoo import Zoo

TEST_EPISODES, TEST_SHOT, TEST_QUERY, TEST_SEED = 200, 5, 15, 0
_PHASE = "job/phase"


def check(spec: RunSpec) -> None:
    """See what options, cards and paths tell against a training, before it is queued; torch is not needed.

    Raises:
        BadInput: It cannot be done.
    """
    from dfml.methods import METHODS
    from dfml.training.used_classes import as_used
    from dfml.zoo import open_zoo

    cls = METHODS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    cls.check_data(spec.data)
    zoo = as_used(open_zoo(spec.needed("zoo")), config, spec.seed)
    cls.check_zoo(zoo, config)
    if spec.cluster and zoo.address:
        raise BadInput("the teachers of a server are asked from here: leave --cluster out.")
    if spec.start:
        cls.check_start(Path(spec.start), config, zoo.picture_shape)
    if spec.data is not None:
        splits, way = splits_of(spec.data), int(getattr(config, "way", 5))
        if "val" in splits and isinstance(config, MetaTrainingConfig):
            check_sizes(spec.data, "val", way=way, shot=config.shot, query=VALIDATION_QUERY)
        if "test" in splits:
            check_sizes(spec.data, "test", way=way, shot=TEST_SHOT, query=TEST_QUERY)


def train(context: JobContext) -> Generator[Event, None, None]:
    """Meta-train, save the model, and test it on novel classes where there are any."""
    import torch

    from dfml.meta.model import MetaModel
    from dfml.methods import METHODS
    from dfml.training.context import Training
    from dfml.training.first_weights import STARTED
    from dfml.training.used_classes import as_used
    from dfml.zoo import open_zoo

    spec = context.spec
    cls = METHODS.get(spec.method)
    config = cls.Config.parse(spec.config) if spec.config else cls.preset(spec.preset)
    zoo = as_used(open_zoo(spec.needed("zoo")), config, spec.seed)
    if spec.start:
        cls.check_start(context.folder / START, config, zoo.picture_shape)
    refuse_too_large(least_bytes(config, zoo.picture_shape), str(context.device))
    sampler, why_not = test_episodes(zoo, spec, config)
    state = context.state or {}
    if state.get(_PHASE) == "test":
        model, step = MetaModel.load(context.folder / MODEL), int(state["step"])
    else:
        model, step = None, 0
        generator = torch.Generator().manual_seed(spec.seed)
        start, started = context.folder / START if spec.start else None, not spec.start
        training = Training(
            zoo, data=spec.data, device=context.device, generator=generator, state=context.state, start=start
        )
        for event in cls(config).train(training):
            if isinstance(event, Done):
                model = event.result
                break
            started |= isinstance(event, Note) and event.kind == STARTED
            if isinstance(event, Scalars) and not started:
                raise BadInput(f"method {spec.method!r} does not begin with the weights of a start.")
            step = max(step, event.step)
            yield event
        if model is None:
            raise RunFailed(f"method {spec.method!r} ended without a model.")
        details = {"method": spec.method, "preset": spec.preset, "seed": spec.seed, "run": context.folder.name}
        model.save(context.folder / MODEL, {**details, "config": config.model_dump(mode="json")})
        yield Checkpoint(step, {_PHASE: "test", "step": step})
    tested = {"test_accuracy": None, "ci95": None}
    if sampler is None:
        yield Note(step, f"not tested: {why_not}", "test")
    else:
        tested = _test(context, model, sampler, every=cls.space == "parameter")
        yield Scalars(step, {"test/accuracy": tested["test_accuracy"], "test/ci95": tested["ci95"]})
        # The run's length is that of its training, not the number of episodes of its test.
        yield Progress(step, max(step, 1), "tested")
    # On validation classes, of the weights that were kept.
    seen = [
        value for value in RunFolder(context.folder).scalars().get("val/accuracy", ([], []))[1] if value is not None
    ]
    kept = sorted(seen) if getattr(config, "keep", "last") == "best" else seen
    yield Done(
        {
            "model": str(context.folder / MODEL),
            "val_accuracy": kept[-1] if kept else None,
            **tested,
            "teachers": model.details.get("taking_part"),
        }
    )


def test_episodes(zoo: Zoo, spec: RunSpec, config: Config) -> tuple[EpisodeSampler | None, str]:
    """Return the test's episodes, made before the training so that unusable data is named at once; or why none."""
    from dfml.data.episodes import EpisodeSampler
    from dfml.data.folders import load_split
    from dfml.data.splits import list_splits
    from dfml.training.validation import data_source

    source = data_source(zoo, spec.data)
    if source is None:
        return None, "no --data was given, and no sample of the zoo's domain is embedded."
    if not source.startswith("sample:") and "test" not in list_splits(Path(source)):
        return None, f"{source} has no test split."
    channels, size, _ = zoo.picture_shape
    way = int(getattr(config, "way", 5))
    try:
        split = load_split(source, "test", size=size, channels=channels)
        return EpisodeSampler(
            split, way=way, shot=TEST_SHOT, query=TEST_QUERY, episodes=TEST_EPISODES, seed=TEST_SEED
        ), ""
    except BadInput as error:
        if spec.data is not None:
            raise
        return None, str(error)


def _test(context: JobContext, model: MetaModel, sampler: EpisodeSampler, *, every: bool) -> dict[str, Any]:
    """Test the model as it adapts by itself; with ``every`` ``also`` in the way of other methods."""
    from dfml.data.episodes import EpisodeSampler
    from dfml.meta.evaluation import evaluate

    if sampler.way > model.way:
        sampler = EpisodeSampler(
            sampler.data, way=model.way, shot=sampler.shot, query=sampler.query, episodes=len(sampler), seed=TEST_SEED
        )
    own = model.learner.default_adaptation
    adapts = (own, *(adapt for adapt in model.adapts if every and adapt not in (own, "linear")))
    text = f"testing on {sampler.data.name}"

    def progress(done: int, total: int) -> None:
        context.emit(Progress(done, total, text))

    how = {"bn": ("transductive",), "adapt": adapts, "device": context.device, "yardstick": False}
    kept = ("shots", "bn", "adapt", "episodes", "episode_list", "query_pictures", "right")
    first, *others = (
        {"test_accuracy": row.accuracy, "ci95": row.ci95, "test_data": sampler.data.name}
        | {name: row.row()[name] for name in kept}
        for row in evaluate(model, sampler, progress=progress, **how)
    )
    return {**first, **({"also": {other["adapt"]: other for other in others}} if others else {})}
