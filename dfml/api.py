"""The library in six names, as ``import dfml`` gives them: what the command line does, from Python.

Every function gives the numbers of the command of its name and takes its options, but for those that go on with a run,
start from one or compare with one, and ``--dry-run``: those are the command line's alone. Nothing is printed, and
nothing but what ``out`` names is left on the disk (beside ``DFML_CACHE``, which keeps what can be computed again, and a
link to ``out`` where runs are kept). Of an opened zoo ``invert`` and ``train`` take where it lies, and read it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.data.episodes import EpisodeSampler, EpisodesAsked
from dfml.data.folders import load_split
from dfml.inversion import INVERTERS
from dfml.meta import adaptation, evaluation
from dfml.meta.calibration import CALIBRATORS, Icfil
from dfml.meta.evaluation import Evaluation
from dfml.meta.learners import Adapt
from dfml.meta.model import MetaModel
from dfml.meta.own_classes import Adapted, Pictures, read_pictures, read_support
from dfml.methods import METHODS
from dfml.nets.device import pick_device, use_threads
from dfml.runs.jobs.invert import check as check_inversion
from dfml.runs.jobs.train import check
from dfml.runs.products import Inverted, Report, Trained, own_threads, recovered, trained
from dfml.runs.spec import RunSpec, within_ranges
from dfml.training.options import AdaptConfig
from dfml.zoo import open_zoo
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.zoo import Zoo

__all__ = [
    "open_zoo", "invert", "train", "evaluate", "adapt", "MetaModel", "Inverted", "Trained", "Evaluation", "Adapted",
    "Report", "Pictures",
]  # fmt: skip


def invert(
    zoo: str | Path | Zoo,
    teacher: str | int | Sequence[str | int] = 0,
    inverter: str = "pixels",
    *,
    preset: str = "demo",
    images_per_class: int = 20,
    oracle: str = "auto",
    oracle_options: Mapping[str, Any] | None = None,
    against: str | Path | None = None,
    against_weight: float = 1.0,
    data: str | Path | None = None,
    shadows: int = 0,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    out: str | Path | None = None,
    label: str = "",
    progress: Report | None = None,
    **options: object,
) -> Inverted:
    """Recover images of a teacher's classes, as the command ``invert`` does.

    Args:
        zoo: An embedded zoo's name, a folder, a server's address, or an opened zoo.
        teacher: Id or position from 0, several of them, or ``all``.
        inverter: Its registered name.
        preset: ``demo`` (for two CPU cores) or ``paper``; where the options start from.
        images_per_class: 1 .. 500.
        oracle: ``auto``, ``autograd`` (gradients) or ``zeroth-order`` (queries only).
        oracle_options: How a black box is asked: ``q``, ``mu``, ``budget``, ...
        against: Folder of a meta-model: recover images on which the teachers disagree with it.
        against_weight: Weight of that disagreement, 0 .. 1000.
        data: The data set with a split ``train`` that the teacher learnt from: adds a privacy report to each recovery.
        shadows: An even number of shadow teachers, up to 64, for its calibrated membership test; they take minutes.
        seed: 0 .. 2**63 - 1; the same seed, device and number of threads give the same images.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: CPU threads, 1 .. 4096; the physical cores, if left out.
        out: The run's folder, new or empty; if left out, nothing of the run is kept.
        label: Your own name for the run, at most 80 characters; it is shown where runs are listed.
        progress: See ``Report``.
        options: Of the inverter, such as ``steps=100``; the command ``invert --method NAME --help`` lists them.

    Raises:
        BadInput: An unknown name or option, a value out of its range, or a teacher that cannot be asked.
        RunFailed: No teacher could be inverted, or the disk is full.
        StopRequested: It was interrupted.
    """
    config = INVERTERS.get(inverter).preset(preset).override(options)
    opened = zoo if isinstance(zoo, Zoo) else open_zoo(zoo)
    named = list(teacher) if isinstance(teacher, Iterable) and not isinstance(teacher, str) else [teacher]
    if not named:
        raise BadInput("no teacher was named: give an id, a position, several of them, or 'all'.")
    wanted = [] if named == ["all"] else [opened.card(which).id for which in named]
    asking = AskingConfig.parse({**(oracle_options or {}), "oracle": oracle})
    asked = {
        "kind": "invert", "method": inverter, "zoo": _text(zoo), "preset": preset, "teachers": wanted,
        "per_class": images_per_class, "oracle": asking.model_dump(mode="json"), "data": _text(data),
        "against": _text(against), "against_weight": against_weight, "config": config.model_dump(mode="json"),
        "shadows": shadows, "seed": seed, "device": device, "threads": threads, "label": label,
    }  # fmt: skip
    spec = RunSpec.parse(asked, called={"per_class": "images_per_class"})
    check_inversion(spec)
    return recovered(spec, out, progress)


def train(
    zoo: str | Path | Zoo,
    method: str,
    *,
    preset: str = "demo",
    data: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    out: str | Path | None = None,
    label: str = "",
    progress: Report | None = None,
    **options: object,
) -> Trained:
    """Train a meta-model with a method and test it on new classes, as the command ``train`` does.

    Args:
        zoo: An embedded zoo's name, a folder, a server's address, or an opened zoo.
        method: Its registered name.
        preset: ``demo`` (for two CPU cores) or ``paper``; where the options start from.
        data: Images for validation and test, a folder or ``sample:NAME``; if left out, the embedded sample of the
            zoo's domain, where there is one. ``real-data`` trains on them.
        seed: 0 .. 2**63 - 1; the same seed, device and number of threads give the same model.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: CPU threads, 1 .. 4096; the physical cores, if left out.
        out: The run's folder, new or empty, which the app shows too; an interrupted run there goes on with
            the command ``train --resume --out OUT``. If left out, nothing of the run is kept.
        label: Your own name for the run, at most 80 characters; it is shown where runs are listed.
        progress: See ``Report``.
        options: Of the method, such as ``iterations=100``; the command ``train --method NAME --help`` lists them.

    Raises:
        BadInput: An unknown name or option, a value out of its range, or a zoo or data that the method cannot use.
        RunFailed: The training failed; with ``out``, what was saved is intact.
        StopRequested: It was interrupted.
    """
    config = METHODS.get(method).preset(preset).override(options)
    spec = RunSpec.parse(
        {
            "kind": "train", "method": method, "zoo": _text(zoo), "preset": preset, "data": _text(data),
            "config": config.model_dump(mode="json"), "seed": seed, "device": device, "threads": threads,
            "label": label,
        }
    )  # fmt: skip
    check(spec)
    return trained(spec, out, progress)


def evaluate(
    model: MetaModel | str | Path,
    data: str | Path,
    *,
    split: str = "test",
    shots: int | Sequence[int] = (1, 5),
    way: int = 5,
    query: int = 15,
    episodes: int = 600,
    bn: evaluation.Bn | None = None,
    how: Adapt | None = None,
    steps: int | None = None,
    lr: float | None = None,
    calibrate: str | None = None,
    calibrate_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    progress: Report | None = None,
) -> list[Evaluation]:
    """Measure a meta-model on episodes drawn once from a seed, as the command ``evaluate`` does.

    Args:
        model: A meta-model, whose network is moved to the device, or its folder.
        data: A folder ``DIR/{train,val,test}/<class>/<image>``, or ``sample:NAME``.
        split: ``train``, ``val`` or ``test``.
        shots: Support images per class, one number or several.
        way: Classes per episode, at least 2.
        query: Query images per class, at least 1.
        episodes: At least 1.
        bn: Whose batch statistics normalise queries: ``transductive`` or ``inductive``; both, if left out.
        how: Gradient ``steps``, nearest ``centroid`` or a ``linear`` head; all three, if left out.
        steps: Inner steps, 1 .. 200; the model's, if left out.
        lr: Inner learning rate, above 0; the model's, if left out.
        calibrate: ``icfil`` calibrates the model to each support set, which is slow.
        calibrate_options: Of the calibration; the command ``evaluate --calibrate icfil --help`` lists them.
        seed: 0 .. 2**63 - 1; draws the episodes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: CPU threads, 1 .. 4096; all cores, if left out.
        progress: See ``Report``.

    Returns:
        For each number of shots one evaluation per ``how`` and ``bn``; ``row()`` makes a table row of it.

    Raises:
        BadInput: No such model or data, too few classes or images for the episodes, or a value out of its range.
    """
    calibrator = _calibrator(calibrate, calibrate_options)
    evaluation.check_modes(bn, how)
    own = within_ranges(seed=seed, device=device, threads=threads)
    asked = EpisodesAsked.parse({"shots": shots, "way": way, "query": query, "episodes": episodes})
    listed = {"way": asked.way, "query": asked.query, "episodes": asked.episodes, "seed": own.seed}
    with own_threads():
        use_threads(own.threads)
        chosen, _ = pick_device(own.device)
        loaded = _loaded(model, steps, lr)
        channels, size, _ = loaded.input_size
        images = load_split(data, split, size=size, channels=channels)
        samplers = [EpisodeSampler(images, shot=k, **listed) for k in asked.shots]
        asked_for = evaluation.modes(bn, how, calibrator)
        found = []
        for sampler in samplers:
            told = _counting(progress, f"{sampler.shot}-shot episodes")
            found += evaluation.evaluate(loaded, sampler, **asked_for, seed=own.seed, device=chosen, progress=told)
        return found


def adapt(
    model: MetaModel | str | Path,
    support: str | Path | Mapping[str, Pictures],
    query: Pictures | None = None,
    *,
    bn: evaluation.Bn = "inductive",
    how: Adapt | None = None,
    steps: int | None = None,
    calibrate: str | None = None,
    calibrate_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Report | None = None,
) -> Adapted:
    """Adapt a meta-model to classes of your own and classify images, as the command ``adapt`` does.

    Images are a tensor [N, C, H, W], an array [N, H, W, C] or [N, H, W], a folder, a file, or a list of files; C is 1
    or 3, values are uint8, or floating-point numbers in [0, 1]. They are cropped to a square and brought to the model's
    size and channels.

    Args:
        model: A meta-model, whose weights are not changed and whose network is moved to the device, or its folder.
        support: ``DIR/<class>/<image>``, or the images of each class by its name; at least two classes.
        query: Images to classify; the support images, if left out.
        bn: Whose batch statistics normalise queries: the support set's (``inductive``) or their own
            (``transductive``).
        how: Gradient ``steps``, nearest ``centroid`` or a ``linear`` head; the model's own way, if left out.
        steps: Inner steps, 1 .. 200; the model's, if left out.
        calibrate: ``icfil`` calibrates the model to the support set.
        calibrate_options: Of the calibration; the command ``adapt --calibrate icfil --help`` lists them.
        seed: 0 .. 2**63 - 1; draws the calibration's first images.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        progress: See ``Report``; told of the calibration's steps only.

    Raises:
        BadInput: Fewer than two classes, a class without images, no query, images that cannot be read or are of another
            shape, type or range, no such model, or a value out of its range.
    """
    evaluation.check_modes(bn, how)
    own = within_ranges(seed=seed, device=device)
    chosen, _ = pick_device(own.device)
    calibrator, loaded = _calibrator(calibrate, calibrate_options), _loaded(model, steps)
    channels, size, _ = loaded.input_size
    known = read_support(support, size=size, channels=channels)
    images, names, bad = known.pictures, known.names, []
    if query is not None:
        images, names, bad = read_pictures(query, size=size, channels=channels)
    found = adaptation.adapt(
        loaded, known.pictures, known.labels, images, class_names=known.class_names, bn=bn, how=how, device=chosen,
        calibrate=calibrator, seed=own.seed, progress=progress,
    )  # fmt: skip
    return Adapted(found.classes, names, found.probabilities, [*known.problems, *bad], found)


def _text(given: str | Path | Zoo | None) -> str | None:
    return given.source if isinstance(given, Zoo) else None if given is None else str(given)


def _counting(progress: Report | None, text: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(done, total, text)


def _loaded(model: MetaModel | str | Path, steps: int | None, lr: float | None = None) -> MetaModel:
    """Return a meta-model, or that of a folder, adapted with so many steps at a learning rate."""
    loaded = model if isinstance(model, MetaModel) else MetaModel.load(Path(model))
    changes = {name: value for name, value in (("test_steps", steps), ("inner_lr", lr)) if value is not None}
    AdaptConfig.parse(changes, called={"test_steps": "steps", "inner_lr": "lr"})
    return loaded.with_adaptation(loaded.learner.name, lr=lr, steps=steps) if changes else loaded


def _calibrator(name: str | None, options: Mapping[str, Any] | None) -> Icfil | None:
    if name is None and options:
        raise BadInput("calibrate_options are those of a calibration: give calibrate='icfil' with them.")
    if name is None:
        return None
    calibrator = CALIBRATORS.get(name)
    return calibrator(calibrator.preset("demo").override(dict(options or {})))
