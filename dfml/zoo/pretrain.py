"""Training the teachers of a zoo on random subsets of a data set's training classes.

Each class's first 80 % of pictures train, the rest are held out. The best epoch on the held-out
pictures is kept as a copy: a live reference would silently turn into the last epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from joblib import Parallel, delayed
from pydantic import Field
from torch import nn

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import read_json
from dfml.core.seeds import derive_seed
from dfml.data.folders import ClassSplit, load_split
from dfml.nets.build import build_network, fast_layout
from dfml.zoo.storage import DETAILS, save_network
from dfml.zoo.teacher import TeacherCard
from dfml.zoo.zoo import write_zoo


class PretrainConfig(Config):
    """How teachers are trained; the defaults are those of the embedded zoos."""

    models: int = Field(100, ge=1, le=10000, description="Number of teachers.")
    way: int = Field(5, ge=2, le=1000, description="Classes a teacher, drawn at random.")
    epochs: int = Field(30, ge=1, le=1000, description="Passes over the training pictures.")
    batch: int = Field(128, ge=2, le=4096, description="Pictures a step.")
    lr: float = Field(
        0.004,
        gt=0,
        le=1,
        description="Adam's first learning rate (Conv4); AdamW's (ViT) is a quarter of it, SGD's (others) five times.",
    )
    width: int | None = Field(None, ge=2, le=1024, description="Filters of the first stage; none keeps the default.")
    flip: bool = Field(True, description="Mirror training pictures at random (never for characters).")
    shift: int = Field(2, ge=0, le=16, description="Move training pictures at random by up to this many pixels.")
    size: int | None = Field(None, ge=16, le=224, description="Picture size; none keeps the data set's.")
    held_out: float = Field(0.2, gt=0, lt=1, description="Share of each class's pictures that is held out.")
    seed: int = Field(0, ge=0, description="Draws class subsets, initial weights and batches.")


@dataclass(frozen=True)
class TeacherPlan:
    """One teacher to be trained."""

    id: str
    architecture: str
    classes: list[int]
    seed: int


def plan_teachers(data: ClassSplit, architectures: list[str], config: PretrainConfig) -> list[TeacherPlan]:
    """Draw each teacher's classes; architectures take turns.

    Raises:
        BadInput: The data set has fewer classes than ``way``.
    """
    if len(data.class_names) < config.way:
        raise BadInput(f"{data.name}/{data.split} has {len(data.class_names)} classes, teachers need {config.way}.")
    plans = []
    for position in range(config.models):
        rng = np.random.default_rng(derive_seed(config.seed, "classes", position))
        classes = rng.choice(len(data.class_names), config.way, replace=False).tolist()
        architecture = architectures[position % len(architectures)]
        plans.append(
            TeacherPlan(f"{position:03d}", architecture, classes, derive_seed(config.seed, "teacher", position))
        )
    return plans


def channel_statistics(data: ClassSplit, limit: int = 5000) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over at most ``limit`` evenly spaced pictures."""
    step = max(1, len(data.labels) // limit)
    x = data.pictures(np.arange(0, len(data.labels), step))
    mean = x.mean(dim=(0, 2, 3))
    std = x.std(dim=(0, 2, 3)).clamp_min(1e-3)  # a channel that never changes must not divide by zero
    return [round(v, 4) for v in mean.tolist()], [round(v, 4) for v in std.tolist()]


def split_class(members: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut one class's pictures into a first part to train and a last part to hold out."""
    cut = len(members) - max(1, round(len(members) * held_out))
    if cut < 1:
        raise BadInput(f"a class has {len(members)} pictures; at least 2 are needed to hold one out.")
    return members[:cut], members[cut:]


def _optimiser(net: nn.Module, architecture: str, lr: float) -> torch.optim.Optimizer:
    if "conv4" in architecture:
        return torch.optim.Adam(net.parameters(), lr=lr)
    if "vit" in architecture:
        return torch.optim.AdamW(net.parameters(), lr=lr / 4, weight_decay=0.05)
    return torch.optim.SGD(net.parameters(), lr=5 * lr, momentum=0.9, weight_decay=5e-4, nesterov=True)


def train_classifier(
    net: nn.Module,
    architecture: str,
    train: tuple[torch.Tensor, torch.Tensor],
    held: tuple[torch.Tensor, torch.Tensor],
    config: PretrainConfig,
    generator: torch.Generator,
) -> float:
    """Train ``net`` in place and leave it with the weights of its best epoch.

    Args:
        net: A network that takes normalised pictures.
        architecture: Its name, which decides the optimiser (Adam for Conv4, AdamW for ViT, SGD for others).
        train: Normalised pictures [N, C, H, W] and labels [N].
        held: Held-out pictures and labels.
        config: Epochs, batch, learning rate, mirroring.
        generator: Draws batches and mirrors.

    Returns:
        The best held-out accuracy in [0, 1].
    """
    x, y = train
    layout = fast_layout(architecture)
    x = x.contiguous(memory_format=layout)
    net.to(memory_format=layout)
    optimiser = _optimiser(net, architecture, config.lr)
    steps = config.epochs * -(-len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=config.lr / 100)
    best, kept = -1.0, copy.deepcopy(net.state_dict())
    for _ in range(config.epochs):
        net.train()
        for rows in torch.randperm(len(x), generator=generator).split(config.batch):
            if len(rows) > 1:
                batch = augment(x[rows], flip=config.flip, shift=config.shift, generator=generator)
                batch = batch.contiguous(memory_format=layout)
                loss = F.cross_entropy(net(batch), y[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 50.0)
                optimiser.step()
            schedule.step()
        accuracy = held_out_accuracy(net, held)
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    net.to(memory_format=torch.contiguous_format).eval()
    return best


def augment(x: torch.Tensor, *, flip: bool, shift: int, generator: torch.Generator) -> torch.Tensor:
    """Mirror and move each picture of x [N, C, H, W] at random; what moves in is zero (the mean colour)."""
    count, _, height, width = x.shape
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(-1), x)
    if shift:
        padded = F.pad(x, (shift,) * 4).permute(0, 2, 3, 1)
        top, left = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
        rows = (top.view(-1, 1) + torch.arange(height)).view(count, height, 1)
        columns = (left.view(-1, 1) + torch.arange(width)).view(count, 1, width)
        x = padded[torch.arange(count).view(-1, 1, 1), rows, columns].permute(0, 3, 1, 2)
    return x


@torch.no_grad()
def held_out_accuracy(net: nn.Module, held: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Accuracy in [0, 1] of ``net`` in eval mode."""
    net.eval()
    hits = [(net(a).argmax(1) == b).sum() for a, b in zip(held[0].split(500), held[1].split(500), strict=True)]
    return float(sum(hits)) / len(held[1])


def train_teacher(
    data: ClassSplit,
    plan: TeacherPlan,
    config: PretrainConfig,
    folder: Path,
    *,
    statistics: tuple[list[float], list[float]],
    licence: str = "",
) -> float:
    """Train one teacher and write its folder.

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

    args: dict[str, Any] = {"num_classes": len(plan.classes), "in_chans": data.channels, "img_size": data.size}
    if config.width:
        args["width"] = config.width
    net = build_network(plan.architecture, seed=plan.seed, **args)
    generator = torch.Generator().manual_seed(plan.seed)
    # Narrow ResNets crash natively in backward passes of two threads (torch 2.15 on the CPU), Conv4 does not.
    threads = torch.get_num_threads()
    if "conv4" not in plan.architecture:
        torch.set_num_threads(1)
    try:
        accuracy = train_classifier(net, plan.architecture, gather(0), gather(1), config, generator)
    finally:
        torch.set_num_threads(threads)
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
    save_network(folder, net, architecture=plan.architecture, model_args=args, details=details, mean=mean, std=std)
    return accuracy


def train_judge(source: Path, zoo_folder: Path, card: TeacherCard, architecture: str, config: PretrainConfig) -> float:
    """Train a judge: a network of another architecture on a teacher's classes, into ``judges/<id>``.

    Judges only measure recovered pictures; no method may touch them.

    Returns:
        Its held-out accuracy in [0, 1].

    Raises:
        BadInput: The teacher names no classes, or the data set lacks one of them.
    """
    data = load_split(source, "train", size=config.size)
    missing = [name for name in card.classes or [] if name not in data.class_names]
    if not card.classes or missing:
        raise BadInput(f"teacher {card.id!r} cannot get a judge: {missing or 'its classes'} not found in {data.name}.")
    classes = [data.class_names.index(name) for name in card.classes]
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
        architectures: They take turns.
        config: See ``PretrainConfig``.
        jobs: Teachers trained side by side, one thread each.
        licence: Terms of the weights, for the cards.
        report: Called with (done, total, id, accuracy) after each teacher.

    Returns:
        Held-out accuracies in [0, 1], one a teacher.

    Raises:
        BadInput: Unusable data, or ``out`` holds a zoo of another recipe.
    """
    data = load_split(source, "train", size=config.size)
    recipe = {"architectures": architectures, "config": config.model_dump(), "data": data.name}
    if (out / "zoo.json").is_file():
        before = read_json(out / "zoo.json", "zoo")
        if not isinstance(before, dict) or before.get("recipe") != recipe:
            raise BadInput(f"{out} holds a zoo made with another recipe: choose another --out, or remove it.")
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInput(f"{out} holds something that is no zoo: choose another --out.")
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
    return [done[plan.id] for plan in plans]


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
            torch.set_num_threads(1)
        return plan, train_teacher(data, plan, config, out / plan.id, statistics=statistics, licence=licence)

    if jobs == 1:
        yield from map(work, plans)
    else:
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(work)(plan) for plan in plans)
