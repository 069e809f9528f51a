"""Meta-iterations beside plain loops: MAML, ProtoNet, FREE's BELL, TGR's implicit gradient regularisation."""

import copy

import torch
from torch import nn

from dfml.bench.plain.bell_loop import bell_iterations
from dfml.bench.plain.igr_loop import igr_iterations
from dfml.bench.plain.maml_loop import Task, maml_iterations
from dfml.bench.plain.protonet_loop import protonet_iterations
from dfml.bench.speed.side_by_side import Loop, Result, Run, Sizes
from dfml.data.episodes import PseudoTask
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import MetaModel, new_meta_model
from dfml.meta.outer import OuterLoop, task_loss_of
from dfml.methods.free import sequential_update
from dfml.methods.tgr import implicit_gradient
from dfml.zoo.zoo import Zoo

WAY, SHOT, QUERY = 5, 5, 15
OUTER_LR, INNER_LR, BELL_LR, BELL_SCALE, BETA = 1e-3, 0.01, 1e-3, 67.0, 1e-3
MEAN, STD = [0.5] * 3, [0.25] * 3


def fresh_model(learner: str, sizes: Sizes, *, steps: int = 10) -> tuple[MetaModel, nn.Module]:
    """A Conv4 with 32 filters, and a copy of its network before it was laid out."""
    config = LearnerConfig(inner_lr=INNER_LR, inner_steps=sizes.get("inner_steps", 5))
    how = {"shape": (3, 32, 32), "way": WAY, "mean": MEAN, "std": STD, "adapt_steps": steps}
    model = new_meta_model("fewshot_conv4", learner=make_learner(learner, config), **how)
    return model, copy.deepcopy(model.to("cpu").net).to(memory_format=torch.contiguous_format)


def _pictures(labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Images in [0, 1] of classes that can be told apart."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.rand(WAY, 3, 32, 32, generator=generator)
    return (classes[labels] + 0.3 * torch.randn(len(labels), 3, 32, 32, generator=generator)).clamp_(0, 1)


def _episodes(sizes: Sizes) -> list[list[Task]]:
    labels = torch.arange(WAY).repeat_interleave(SHOT + QUERY)
    given = (torch.arange(len(labels)) % (SHOT + QUERY)) < SHOT

    def task(seed: int) -> Task:
        images = _pictures(labels, seed)
        return images[given], labels[given], images[~given], labels[~given]

    count = sizes["tasks"]
    return [[task(count * i + k) for k in range(count)] for i in range(sizes["iterations"])]


def _answered(sizes: Sizes) -> list[list[PseudoTask]]:
    labels = torch.arange(WAY).repeat_interleave(sizes["per_class"])

    def task(seed: int) -> PseudoTask:
        drawn = torch.randn(len(labels), WAY, generator=torch.Generator().manual_seed(seed))
        answers = drawn + 3 * nn.functional.one_hot(labels, WAY)
        return PseudoTask(_pictures(labels, seed), labels, answers, str(seed), {})

    count = sizes["tasks"]
    return [[task(count * i + k) for k in range(count)] for i in range(sizes["iterations"])]


def _means(found: Result, sizes: Sizes) -> Result:
    return {"losses": found["losses"].view(sizes["iterations"], -1).mean(1)}


def _episodic(sizes: Sizes, learner: str) -> tuple[MetaModel, nn.Module, list[list[Task]], Run]:
    model, net = fresh_model(learner, sizes)
    outer, batches = OuterLoop(model, OUTER_LR), _episodes(sizes)
    return model, net, batches, lambda: {"losses": torch.tensor([outer.step(tasks).loss for tasks in batches])}


def maml(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Outer steps of second-order MAML."""
    _, net, batches, ours = _episodic(sizes, "maml")
    how = {"inner_lr": INNER_LR, "inner_steps": sizes["inner_steps"], "outer_lr": OUTER_LR}
    return ours, lambda: _means(maml_iterations(net, batches, MEAN, STD, **how), sizes)


def protonet(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Outer steps of ProtoNet."""
    _, net, batches, ours = _episodic(sizes, "protonet")
    return ours, lambda: _means(protonet_iterations(net, batches, MEAN, STD, outer_lr=OUTER_LR), sizes)


def bell(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Steps of FREE's BELL, on the network's own outputs."""
    model, net = fresh_model("maml", sizes)
    outer, batches, drawn = OuterLoop(model, OUTER_LR), _answered(sizes), torch.Generator().manual_seed(0)

    def ours() -> Result:
        losses = []
        for tasks in batches:
            asked = [task_loss_of(model, task, drawn, student="head", shot=SHOT) for task in tasks]
            gone = sequential_update(asked, model.params, BELL_LR)
            outer.descend([BELL_SCALE * g for g in gone.gradient.values()])
            losses.append(gone.loss)
        return {"losses": torch.tensor(losses)}

    def plain() -> Result:
        pairs = [[(task.images, task.soft_targets) for task in tasks] for tasks in batches]
        how = {"lr": BELL_LR, "scale": BELL_SCALE, "outer_lr": OUTER_LR}
        return _means(bell_iterations(net, pairs, MEAN, STD, **how), sizes)

    return ours, plain


def igr(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Group steps of TGR, on the network's own outputs."""
    model, net = fresh_model("maml", sizes)
    outer, batches, drawn = OuterLoop(model, OUTER_LR), _answered(sizes), torch.Generator().manual_seed(0)

    def ours() -> Result:
        losses = []
        for tasks in batches:
            asked = [task_loss_of(model, task, drawn, student="head", shot=SHOT, ce=1.0) for task in tasks]
            together = implicit_gradient(asked, model.params, BETA)
            outer.descend(together.gradient.values())
            losses.append(together.loss)
        return {"losses": torch.tensor(losses)}

    def plain() -> Result:
        triples = [[(task.images, task.labels, task.soft_targets) for task in tasks] for tasks in batches]
        return _means(igr_iterations(net, triples, MEAN, STD, beta=BETA, outer_lr=OUTER_LR), sizes)

    return ours, plain


LOOPS = [
    Loop(
        "maml", "MAML, second order, {inner_steps} steps, {tasks} tasks, {iterations} times",
        {"inner_steps": 5, "tasks": 4, "iterations": 4}, {"inner_steps": 2, "tasks": 1, "iterations": 2}, maml,
    ),
    Loop(
        "protonet", "ProtoNet, {tasks} tasks, {iterations} times", {"tasks": 4, "iterations": 20},
        {"tasks": 2, "iterations": 2}, protonet,
    ),
    Loop(
        "bell", "FREE's BELL, {tasks} teachers, {per_class} images a class, {iterations} times",
        {"tasks": 4, "per_class": 20, "iterations": 20}, {"tasks": 2, "per_class": 4, "iterations": 2}, bell,
    ),
    Loop(
        "igr", "TGR's IGR, {tasks} teachers, {per_class} images a class, {iterations} times",
        {"tasks": 4, "per_class": 20, "iterations": 10}, {"tasks": 2, "per_class": 4, "iterations": 2}, igr,
    ),
]  # fmt: skip
