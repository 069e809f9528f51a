"""TGR's first-order claim at the size in use: a Conv4 of 32 filters, four teachers, a hundred images of 32 px each.

The extra term of the regularised gradient, over beta, is to point where second derivatives point. Two things bend it.
Max-pools and ReLUs make the gradient jump, so a displacement that is too short gives the jumps that happen to lie
near; and one that is too long leaves the region in which the curvature is the same. What is short and long follows
from the parameters, while an absolute beta follows the scale of the loss.
"""

import numpy as np
import pytest
import torch

from dfml.data.episodes import PseudoTask
from dfml.data.folders import load_split
from dfml.meta.outer import gradient_of, task_loss_of
from dfml.methods.tgr import Tgr, implicit_gradient
from dfml.training.new_model import start_model
from dfml.zoo import open_zoo
from tests import conditions

TEACHERS, PER_CLASS = ("003", "017", "042", "088"), 20
ABSOLUTE = 1e-3
"""The published beta."""
RELATIVE = 1e-3


def flat(named):
    return torch.cat([x.detach().reshape(-1).double() for x in named.values()])


def losses_of(learner, student, seed, precision=torch.float32):
    """What four teachers ask of a fresh meta-model about pictures of five classes each."""
    zoo, data = open_zoo("cifar-fs-conv4"), load_split("sample:cifar-fs", "val")
    generator = torch.Generator().manual_seed(seed)
    config = Tgr.preset("published").override({"learner": learner, "student": student})
    model = start_model(zoo, config, generator, {"method": "tgr"})
    model.net.to(precision)
    tasks = []
    for teacher in TEACHERS:
        classes = torch.randperm(len(data.class_names), generator=generator)[:5].tolist()
        images = data.pictures(np.concatenate([data.members[c][:PER_CLASS] for c in classes]))
        labels = torch.arange(5).repeat_interleave(PER_CLASS)
        said = zoo.teacher(teacher).logits(images).detach()
        tasks.append(PseudoTask(images.to(precision), labels, said.to(precision), teacher, {}))
    how = {"student": student, "shot": 5, "ce": 1.0, "kd": 1.0}
    return [task_loss_of(model, task, generator, **how) for task in tasks], model.params


def slope_of_variance(task_losses, params):
    """Gradient of 1/(2n) sum of |g_i - g|^2 by second derivatives, where the gradient does not jump."""
    leaves = {n: p.detach().clone().requires_grad_(True) for n, p in params.items()}
    each = [gradient_of(loss(leaves).loss, leaves, create_graph=True) for loss in task_losses]
    stacked = torch.stack([torch.cat([x.reshape(-1) for x in g.values()]) for g in each])
    variance = (stacked - stacked.mean(0)).pow(2).sum() / (2 * len(each))
    return stacked.mean(0).detach().double(), flat(gradient_of(variance, leaves))


@pytest.mark.stochastic
@pytest.mark.parametrize(("learner", "student"), [("maml", "head"), ("protonet", "episode")])
def test_the_extra_term_points_to_less_variance_where_it_is_relative(learner, student, margin):
    cosines: dict[str, list[float]] = {"absolute": [], "relative": []}
    for seed in range(3):
        task_losses, params = losses_of(learner, student, conditions.seed(seed))
        mean, slope = slope_of_variance(task_losses, params)
        for scale, beta in (("absolute", ABSOLUTE), ("relative", RELATIVE)):
            found = implicit_gradient(task_losses, params, beta, scale=scale)
            extra = flat(found.gradient) - mean
            cosines[scale].append(float(extra @ slope / extra.norm() / slope.norm()))
            assert found.changed == pytest.approx(float(extra.norm() / mean.norm()), rel=1e-3)
    found = {scale: sum(values) / len(values) for scale, values in cosines.items()}
    margin.at_least("cosine to the limit", found["relative"], 0.15, null=0)
    margin.at_least("how much more than with an absolute beta", found["relative"] - found["absolute"], 0.05, null=0)


@pytest.mark.stochastic
def test_jumps_bend_the_extra_term_long_before_rounding_does(margin):
    task_losses, params = losses_of("maml", "head", conditions.seed(), torch.float64)
    mean, slope = slope_of_variance(task_losses, params)

    def cosine(beta):
        extra = flat(implicit_gradient(task_losses, params, beta).gradient) - mean
        return float(extra @ slope / extra.norm() / slope.norm())

    margin.at_least("cosine where nothing switches", cosine(1e-10), 0.99, null=0)
    margin.at_most("cosine where little does", cosine(1e-5), 0.6, null=1)


@pytest.mark.stochastic
def test_an_absolute_beta_displaces_prototypes_further_than_own_outputs(margin):
    length = {}
    for learner, student in (("maml", "head"), ("protonet", "episode")):
        found = implicit_gradient(*losses_of(learner, student, conditions.seed()), 0.0)
        length[learner] = (2 * found.variance) ** 0.5
    margin.at_least("ratio of the displacements", length["protonet"] / length["maml"], 5, null=1)
