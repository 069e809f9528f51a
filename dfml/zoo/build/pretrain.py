"""Training the teachers of a zoo on random subsets of a data set's training classes.

Each class's first 80 % of images train, the rest are held out and choose the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

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
from dfml.zoo.build.class_plan import PretrainConfig, TeacherPlan, net_for, pixel_statistics, plan_teachers, split_class
from dfml.zoo.build.classifier import train_classifier
from dfml.zoo.teacher import DETAILS, TeacherCard, save_network
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
        "source": "trained by `python -m dfml zoo pretrain`",
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


def train_judge(source: Path, zoo_folder: Path, card: TeacherCard, architecture: str, config: PretrainConfig) -> float:
    """Train a judge, a network of another architecture on a teacher's classes, into ``judges/<id>``.

    Judges only measure recovered images; no method may touch them. Returns its held-out accuracy in [0, 1];
    ``BadInput``: the teacher names no classes, or the data set lacks one of them.
    """
    data = load_split(source, "train", size=config.size, channels=config.channels)
    classes = [find_name(name, data.class_names) for name in card.classes or []]
    missing = [name for name, found in zip(card.classes or [], classes, strict=True) if found is None]
    if not classes or missing:
        raise BadInput(f"teacher {card.id!r} cannot get a judge: {missing or 'its classes'} not found in {data.name}.")
    plan = TeacherPlan(card.id, architecture, classes, derive_seed(config.seed, "judge", card.id))
    return train_teacher(data, plan, config, zoo_folder / "judges" / card.id, statistics=pixel_statistics(data))


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
    """Train a zoo on a data set's ``train`` split; teachers whose folders are whole are kept, so a stopped run goes on.

    The architectures, each ``NAME`` or ``NAME:WIDTH``, take turns; ``jobs`` teachers are trained side by side, with one
    thread each. ``report`` is called with (done, total, id, accuracy) after each. Returns the teachers' held-out
    accuracies in [0, 1].

    Raises:
        BadInput: Unusable data, a network that cannot be built for it, or ``out`` holds a zoo of another recipe.
    """
    data = load_split(source, "train", size=config.size, channels=config.channels)
    recipe = {"architectures": architectures, "config": config.recorded(), "data": data.name}
    if (out / "zoo.json").is_file():
        before = read_json(out / "zoo.json", "zoo")
        found = before.get("recipe") if isinstance(before, dict) else None
        known, wanted = (same(json.dumps(one, ensure_ascii=False)) for one in (found, recipe))
        if known != wanted:
            raise BadInput(f"{out} holds a zoo made with another recipe: choose another --out, or remove it.")
    else:
        claim_folder(out)
    for text in dict.fromkeys(architectures):
        # Before anything is written: the last of several networks must not fail after the others were trained.
        net_for(text, way=config.way, channels=data.channels, size=data.size, width=config.width)
    plans = plan_teachers(data, architectures, config)
    statistics = pixel_statistics(data)
    cards = {plan.id: out / plan.id / DETAILS for plan in plans}
    done = {i: float(read_json(card, "card")["accuracy"]) for i, card in cards.items() if card.is_file()}

    def record() -> None:
        models = [plan.id for plan in plans if plan.id in done]
        write_zoo(out, name=out.name, domain=data.name, shared_class_names=True, recipe=recipe, models=models)

    def work(plan: TeacherPlan) -> tuple[str, float]:
        if jobs > 1:
            use_threads(1)
            end_with_parent()
        return plan.id, train_teacher(data, plan, config, out / plan.id, statistics=statistics, licence=licence)

    record()
    missing = [delayed(work)(plan) for plan in plans if plan.id not in done]
    for name, accuracy in Parallel(n_jobs=jobs, return_as="generator_unordered")(missing):
        done[name] = accuracy
        record()
        if report:
            report(len(done), len(plans), name, accuracy)
    for plan in plans:
        _unfinished(out / plan.id).unlink(missing_ok=True)
    return [done[plan.id] for plan in plans]
