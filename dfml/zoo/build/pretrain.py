"""Training the teachers of a zoo on random subsets of a data set's training classes.

Each class's first 80 % of images train, the rest are held out and choose the epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfml.cluster.fan_out import Jobs, in_processes
from dfml.cluster.node import keep_files, written
from dfml.core.errors import BadInput
from dfml.core.paths import read_json
from dfml.core.remedies import PROGRAM
from dfml.core.seeds import derive_seed
from dfml.data.folders import ClassSplit, load_split
from dfml.data.splits import split_class
from dfml.nets.build import build_network
from dfml.nets.device import use_threads
from dfml.zoo.build.classifier import train_classifier
from dfml.zoo.build.zoo_config import PretrainConfig, claim_zoo, judged_classes, name_and_width
from dfml.zoo.teacher import DETAILS, TeacherCard, save_network
from dfml.zoo.zoo import write_zoo

SMALLEST_MAP = 2
"""Pixels a side of a timm network's last map: they are made for large images, and shrink small ones away."""

_UNANSWERED = (AssertionError, IndexError, RuntimeError, ValueError)
"""What networks raise at images of a size that they cannot take."""


def net_for(
    architecture: str, *, way: int, channels: int, size: int, width: int | None = None
) -> tuple[str, dict[str, Any]]:
    """The name of a network of timm's, and the arguments with which it is built for images [N, channels, size, size].

    The architecture is ``NAME`` or ``NAME:WIDTH``, with the filters of the first stage. Few-shot networks are told the
    size and the width. Others are told to shrink an image to no less than 2 px a side (``output_stride``), where they
    know how. ``BadInput``: there is no such network or width, it takes no width, or it cannot take such images.
    """
    name, own = name_and_width(architecture)
    args: dict[str, Any] = {"num_classes": way, "in_chans": channels}
    if name.startswith("fewshot_"):
        args["img_size"] = size
        if own or width:
            args["width"] = own or width
        build_network(name, **args)
        return name, args
    stride = next((stride for stride in (32, 16) if size // stride >= SMALLEST_MAP), 8)
    reason = ""
    # Best first: a finer last map, nothing, and the size (vision transformers).
    tried: tuple[dict[str, Any], ...] = ({"output_stride": stride}, {}, {"img_size": size})
    for further in tried:
        try:
            net = build_network(name, **args, **further).eval()
            with torch.no_grad():
                answer = net(torch.zeros(2, channels, size, size))
        except BadInput as error:
            reason = reason if further and reason else str(error)
        except _UNANSWERED as error:
            reason = f"{name} cannot take images of {size} px ({error}): choose another --set size=..."
        else:
            if tuple(answer.shape) == (2, way):
                return name, {**args, **further}
            reason = f"{name} answers with {list(answer.shape[1:])} numbers per image, not {way}."
    raise BadInput(reason)


@dataclass(frozen=True)
class TeacherPlan:
    """One teacher to be trained."""

    id: str
    architecture: str
    classes: list[int]
    seed: int


def plan_teachers(data: ClassSplit, architectures: list[str], config: PretrainConfig) -> list[TeacherPlan]:
    """Sample each teacher's classes; architectures take turns. ``BadInput``: the data set has fewer than ``way``."""
    if len(data.class_names) < config.way:
        raise BadInput(f"{data.name}/{data.split} has {len(data.class_names)} classes, teachers need {config.way}.")
    plans = []
    for position in range(config.models):
        rng = np.random.default_rng(derive_seed(config.seed, "classes", position))
        classes = rng.choice(len(data.class_names), config.way, replace=False).tolist()
        architecture = architectures[position % len(architectures)]
        seed = derive_seed(config.seed, "teacher", position)
        plans.append(TeacherPlan(f"{position:03d}", architecture, classes, seed))
    return plans


def pixel_statistics(data: ClassSplit, limit: int = 5000) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over at most ``limit`` evenly spaced images."""
    step = max(1, len(data.labels) // limit)
    x = data.pictures(np.arange(0, len(data.labels), step))
    mean = x.mean(dim=(0, 2, 3))
    std = x.std(dim=(0, 2, 3)).clamp_min(1e-3)  # a channel that never changes must not divide by zero
    return [round(v, 4) for v in mean.tolist()], [round(v, 4) for v in std.tolist()]


def train_teacher(
    data: ClassSplit,
    plan: TeacherPlan,
    config: PretrainConfig,
    folder: Path,
    *,
    statistics: tuple[list[float], list[float]],
    licence: str = "",
) -> float:
    """Train one teacher, or go on from a file beside its folder, and write that; return its held-out accuracy."""
    mean, std = (torch.tensor(values).view(1, data.channels, 1, 1) for values in statistics)
    parts = [split_class(data.members[c], config.held_out) for c in plan.classes]

    def gather(which: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.cat([data.pictures(part[which]) for part in parts])
        labels = torch.cat([torch.full((len(part[which]),), slot) for slot, part in enumerate(parts)])
        return (images - mean) / std, labels

    name, args = net_for(
        plan.architecture, way=len(plan.classes), channels=data.channels, size=data.size, width=config.width
    )
    first = derive_seed(config.seed, "start") if config.same_start else plan.seed
    net = build_network(name, seed=first, **args)
    generator = torch.Generator().manual_seed(plan.seed)
    mark = {"plan": asdict(plan), "config": config.model_dump(mode="json"), "data": [data.name, data.content]}
    # Narrow ResNets crash natively in backward passes of two threads (torch 2.15 on the CPU), Conv4 does not.
    threads = torch.get_num_threads()
    if "conv4" not in name:
        use_threads(1)
    try:
        accuracy = train_classifier(net, name, gather(0), gather(1), config, generator, (_unfinished(folder), mark))
    finally:
        use_threads(threads)
    details = {
        "classes": [data.class_names[c] for c in plan.classes],
        "access": "weights",
        "accuracy": round(accuracy, 4),
        "domain": data.name,
        "source": f"trained by `{PROGRAM} zoo pretrain`",
        "licence": licence,
        "seed": plan.seed,
        "pretraining": config.model_dump(),
    }
    save_network(
        folder, net, architecture=name, model_args=args, details=details, mean=statistics[0], std=statistics[1],
        size=data.size,
    )  # fmt: skip
    _unfinished(folder).unlink(missing_ok=True)
    return accuracy


def _unfinished(folder: Path) -> Path:
    """Of a teacher's training: beside the folder, which is there only when it is whole."""
    return folder.with_name(f".{folder.name}.training")


def train_judges(
    source: Path,
    zoo_folder: Path,
    cards: Sequence[TeacherCard],
    architecture: str,
    config: PretrainConfig,
    *,
    jobs: Jobs = 1,
) -> Iterator[tuple[str, float]]:
    """Train a judge for each teacher, a network of another architecture on its classes, into ``judges/<id>``.

    Judges only measure recovered images; no method may touch them. Yields each teacher's id and its judge's held-out
    accuracy in [0, 1]. ``BadInput``: a teacher names no classes, or the data set lacks one of them.
    """
    data = load_split(source, "train", size=config.size, channels=config.channels)
    plans = []
    for card in cards:
        classes = judged_classes(card, data.class_names, data.name)
        plans.append(TeacherPlan(card.id, architecture, classes, derive_seed(config.seed, "judge", card.id)))
    work = partial(train_one, data, config, pixel_statistics(data), "", zoo_folder / "judges")
    for found in in_processes(work, plans, jobs=jobs, what="trained judges"):
        if found is not None:
            name, accuracy, files = found
            keep_files(zoo_folder / "judges" / name, files)
            yield name, accuracy


def train_one(
    data: ClassSplit,
    config: PretrainConfig,
    statistics: tuple[list[float], list[float]],
    licence: str,
    out: Path,
    plan: TeacherPlan,
) -> tuple[str, float, dict[str, bytes]]:
    """Train one teacher, perhaps in a process of its own or on another node; return its id, accuracy and files.

    Statistics are mean and deviation of each channel.
    """
    if parent_process() is not None:  # not where it is the only one, and has all threads
        use_threads(1)

    def train(folder: Path) -> float:
        return train_teacher(data, plan, config, folder, statistics=statistics, licence=licence)

    accuracy, files = written(out / plan.id, train)
    return plan.id, accuracy, files


def pretrain_zoo(
    source: Path,
    out: Path,
    architectures: list[str],
    config: PretrainConfig,
    *,
    jobs: Jobs = 1,
    licence: str = "",
    report: Callable[[int, int, str, float], None] | None = None,
) -> list[float]:
    """Train a zoo on a data set's ``train`` split; teachers whose folders are whole are kept, so a stopped run goes on.

    The architectures, each ``NAME`` or ``NAME:WIDTH``, take turns; ``jobs`` teachers are trained side by side, with one
    thread each. ``report`` is called with (done, total, id, accuracy) after each. Returns the teachers' held-out
    accuracies in [0, 1]. ``BadInput``: unusable data, a network that cannot be built for it, or ``out`` holds a zoo of
    another recipe.
    """
    recipe = claim_zoo(source, out, architectures, config)
    data = load_split(source, "train", size=config.size, channels=config.channels)
    for text in dict.fromkeys(architectures):
        # Before anything is written: the last of several networks must not fail after the others were trained.
        net_for(text, way=config.way, channels=data.channels, size=data.size, width=config.width)
    plans = plan_teachers(data, architectures, config)
    cards = {plan.id: out / plan.id / DETAILS for plan in plans}
    done = {i: float(read_json(card, "card")["accuracy"]) for i, card in cards.items() if card.is_file()}

    def record() -> None:
        models = [plan.id for plan in plans if plan.id in done]
        write_zoo(out, name=out.name, domain=data.name, shared_class_names=True, recipe=recipe, models=models)

    record()
    missing = [plan for plan in plans if plan.id not in done]
    work = partial(train_one, data, config, pixel_statistics(data), licence, out)
    for found in in_processes(work, missing, jobs=jobs, what="trained teachers"):
        if found is None:
            continue
        name, accuracy, files = found
        keep_files(out / name, files)
        done[name] = accuracy
        record()
        if report:
            report(len(done), len(plans), name, accuracy)
    for plan in plans:
        _unfinished(out / plan.id).unlink(missing_ok=True)
    return [done[plan.id] for plan in plans]
