"""A student with an output layer a teacher."""

import math

import pytest
import torch
import torch.nn.functional as F

from dfml.meta.learners import LearnerConfig, extract_features, make_learner
from dfml.meta.model import new_meta_model
from dfml.meta.multi_teacher import MultiHeadStudent, multi_head_loss
from tests import conditions


def test_equal_answers_cost_nothing_and_only_those_asked_for_count():
    teachers = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(conditions.seed()))
    asked = torch.ones(4, 3, dtype=torch.bool)
    for distance in ("kl", "mse"):
        assert float(multi_head_loss(teachers + 2.0, teachers, asked, distance)) == pytest.approx(0, abs=1e-6)
    student = teachers.clone()
    student[:, 1] += torch.arange(5.0)
    asked[:, 1] = False
    assert float(multi_head_loss(student, teachers, asked)) == pytest.approx(0, abs=1e-6)
    asked[0, 1] = True
    wanted = F.kl_div(student[0, 1].log_softmax(0), teachers[0, 1].softmax(0), reduction="sum") / int(asked.sum())
    assert float(multi_head_loss(student, teachers, asked)) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize("distance", ["kl", "mse"])
def test_teachers_with_fewer_classes_are_masked_and_gradients_stay_finite(distance):
    teachers = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(conditions.seed()))
    teachers[:, 1, 3:] = -math.inf
    student = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(conditions.seed(1)), requires_grad=True)
    loss = multi_head_loss(student, teachers, torch.ones(4, 2, dtype=torch.bool), distance)
    (grad,) = torch.autograd.grad(loss, student)
    assert math.isfinite(float(loss.detach())) and bool(grad.isfinite().all())
    assert not grad[:, 1, 3:].any() and bool(grad[:, 1, :3].any())


@pytest.mark.stochastic
def test_it_learns_each_teachers_answers_in_that_teachers_layer(margin):
    model = new_meta_model(
        "fewshot_conv4", shape=(3, 16, 16), way=5, mean=[0.5] * 3, std=[0.5] * 3,
        learner=make_learner("protonet", LearnerConfig()), width=8,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(conditions.seed())
    own_head = model.net.fc.weight.detach().clone()
    student = MultiHeadStudent(model, [5, 3], 1e-2, generator)
    images, logits = torch.rand(12, 3, 16, 16, generator=generator), 3 * torch.randn(12, 2, 5, generator=generator)
    logits[:, 1, 3:] = -math.inf
    batch = (images, logits, torch.ones(12, 2, dtype=torch.bool))
    steps = [student.step([batch, batch], distance="kl", lr=1e-2) for _ in range(60)]
    assert steps[-1].accuracy == 1.0
    margin.at_most("loss", steps[-1].loss / steps[0].loss, 0.2)
    margin.close("alignment of the same task twice", steps[-1].alignment, 1.0, 1e-4)
    assert torch.equal(own_head, model.net.fc.weight), "the model's own last layer takes no part"


def test_it_sees_images_as_its_model_prepares_them():
    model = new_meta_model(
        "fewshot_conv4", shape=(3, 16, 16), way=5, mean=[0.9] * 3, std=[0.2] * 3,
        learner=make_learner("protonet", LearnerConfig()), width=8,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(conditions.seed())
    student, x = MultiHeadStudent(model, [5], 1e-2, generator), torch.rand(12, 3, 16, 16, generator=generator)
    for images, same in ((model.prepare(x), True), (x, False)):
        features = extract_features(model.net, model.params, images)
        wanted = F.linear(features, student.weight, student.bias).view(12, 1, 5)
        # Normalised by the batch, what was not prepared differs at the borders alone.
        assert torch.allclose(student.answers(x), wanted, rtol=1e-3, atol=1e-3) == same
