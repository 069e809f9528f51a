"""Training the teachers of a zoo on random subsets of a data set's training classes.

Each class's first 80 % of pictures train, the rest are held out and choose the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from dfml.core.errors import BadInput
from dfml.core.names import find_name, same
from dfml.core.paths import claim_folder, read_json
from dfml.core.process import end_with_parent
from dfml.core.seeds import derive_seed
from dfml.data.folders import ClassSplit, load_split
from dfml.nets.build import build_network
from dfml.nets.device import use_threads
from dfml.zoo.build.architectures import Architecture
from dfml.zoo.build.class_plan import PretrainConfig, TeacherPlan, channel_statistics, plan_teachers, split_class
from dfml.zoo.build.classifier import train_classifier
from dfml.zoo.build.unfinished import Unfinished
from dfml.zoo.storage import DETAILS, save_network
from dfml.zoo.teacher import TeacherCard
from dfml.zoo.zoo import write_zoo


def train_teacher(
    data: ClassSplit,
    plan: TeacherPlan,
    config: PretrainConfig,
    folder: Path,
    *,
    statistics: tuple[list[float], list[float]],
    licence: str = "",
) -> float:
    """Train one teacher and write its folder; one that was cut off goes on from a file beside it.

    Returns:
        Its held-out accuracy in [0, 1].
    """
    mean, std = statistics
    parts = [split_class(data.members[c], config.held_out) for c in plan.classes]

    def gather(which: int) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = torch.cat([data.pictures(part[which]) for part in parts])
        labels = torch.cat([torch.full((len(part[which]),), slot) for slot, part in enumerate(parts)])
        shape = (1, data.channels, 1, 1)
        return (pictures - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape), labels

    architecture = Architecture.parse(plan.architecture)
    name = architecture.name
    args = architecture.model_args(way=len(plan.classes), channels=data.channels, size=data.size, width=config.width)
    first = derive_seed(config.seed, "start") if config.same_start else plan.seed
    net = build_network(name, seed=first, **args)
    generator = torch.Generator().manual_seed(plan.seed)
    unfinished = Unfinished(
        _unfinished(folder),
        {"plan": asdict(plan), "config": config.model_dump(mode="json"), "data": [data.name, data.content]},
    )
    # Narrow ResNets crash natively in backward passes of two threads (torch 2.15 on the CPU), Conv4 does not.
    threads = torch.get_num_threads()
    if "conv4" not in name:
        use_threads(1)
    try:
        accuracy = train_classifier(net, name, gather(0), gather(1), config, generator, unfinished)
    finally:
        use_threads(threads)
    details = {
        "classes": [data.class_names[c] for c in plan.classes],
        "access": "weights",
        "accuracy": round(accuracy, 4),
        "domain": data.name,
        "source": "trained by `python -m dfml zoo pretrain`",
        "licence": licence,
        "seed": plan.seed,
        "pretraining": config.model_dump(),
    }
    save_network(folder, net, architecture=name, model_args=args, details=details, mean=mean, std=std, size=data.size)
    unfinished.remove()
    return accuracy


def _unfinished(folder: Path) -> Path:
    """Of a teacher's training: beside the folder, which is there only when it is whole."""
    return folder.with_name(f".{folder.name}.training")


def train_judge(source: Path, zoo_folder: Path, card: TeacherCard, architecture: str, config: PretrainConfig) -> float:
    """Train a judge: a network of another architecture on a teacher's classes, into ``judges/<id>``.

    Judges only measure recovered pictures; no method may touch them.

    Returns:
        Its held-out accuracy in [0, 1].

    Raises:
        BadInput: The teacher names no classes, or the data set lacks one of them.
    """
    data = load_split(source, "train", size=config.size, channels=config.channels)
    missing = [name for name in card.classes or [] if find_name(name, data.class_names) is None]
    if not card.classes or missing:
        raise BadInput(f"teacher {card.id!r} cannot get a judge: {missing or 'its classes'} not found in {data.name}.")
    classes = [find_name(name, data.class_names) for name in card.classes]
    plan = TeacherPlan(card.id, architecture, classes, derive_seed(config.seed, "judge", card.id))
    return train_teacher(data, plan, config, zoo_folder / "judges" / card.id, statistics=channel_statistics(data))


def pretrain_zoo(
    source: Path,
    out: Path,
    architectures: list[str],
    config: PretrainConfig,
    *,
    jobs: int = 1,
    licence: str = "",
    report: Callable[[int, int, str, float], None] | None = None,
) -> list[float]:
    """Train a zoo; teachers whose folders are whole are kept, so a stopped run goes on.

    Args:
        source: A class-folder data set with a ``train`` split.
        out: The zoo's folder.
        architectures: They take turns; each is ``NAME`` or ``NAME:WIDTH``.
        config: See ``PretrainConfig``.
        jobs: Teachers trained side by side, one thread each.
        licence: Terms of the weights, for the cards.
        report: Called with (done, total, id, accuracy) after each teacher.

    Returns:
        Held-out accuracies in [0, 1], one a teacher.

    Raises:
        BadInput: Unusable data, a network that cannot be built for it, or ``out`` holds a zoo of another recipe.
    """
    data = load_split(source, "train", size=config.size, channels=config.channels)
    recipe = {"architectures": architectures, "config": config.recorded(), "data": data.name}
    if (out / "zoo.json").is_file():
        before = read_json(out / "zoo.json", "zoo")
        if not isinstance(before, dict) or not _alike(before.get("recipe"), recipe):
            raise BadInput(f"{out} holds a zoo made with another recipe: choose another --out, or remove it.")
    else:
        claim_folder(out)
    for text in dict.fromkeys(architectures):
        # Before anything is written: the last of several networks must not fail after the others were trained.
        Architecture.parse(text).model_args(way=config.way, channels=data.channels, size=data.size, width=config.width)
    plans = plan_teachers(data, architectures, config)
    statistics = channel_statistics(data)
    done: dict[str, float] = {}
    missing = []
    for plan in plans:
        details = out / plan.id / DETAILS
        if details.is_file():
            done[plan.id] = float(read_json(details, "card")["accuracy"])
        else:
            missing.append(plan)

    def record() -> None:
        models = [plan.id for plan in plans if plan.id in done]
        write_zoo(out, name=out.name, domain=data.name, shared_class_names=True, recipe=recipe, models=models)

    record()
    for plan, accuracy in _train_all(data, missing, config, out, statistics, licence, jobs):
        done[plan.id] = accuracy
        record()
        if report:
            report(len(done), len(plans), plan.id, accuracy)
    for plan in plans:
        _unfinished(out / plan.id).unlink(missing_ok=True)
    return [done[plan.id] for plan in plans]


def _alike(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON values
    return same(json.dumps(one, ensure_ascii=False)) == same(json.dumps(other, ensure_ascii=False))


def _train_all(
    data: ClassSplit,
    plans: list[TeacherPlan],
    config: PretrainConfig,
    out: Path,
    statistics: tuple[list[float], list[float]],
    licence: str,
    jobs: int,
) -> Iterator[tuple[TeacherPlan, float]]:
    def work(plan: TeacherPlan) -> tuple[TeacherPlan, float]:
        if jobs > 1:
            use_threads(1)
            end_with_parent()
        return plan, train_teacher(data, plan, config, out / plan.id, statistics=statistics, licence=licence)

    if jobs == 1:
        yield from map(work, plans)
    else:
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(work)(plan) for plan in plans)
