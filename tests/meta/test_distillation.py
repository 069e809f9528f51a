"""Distillation: the teacher itself is the minimum; the legacy form shows the published slip."""

import pytest
import torch
import torch.nn.functional as F

from dfml.data.episodes import PseudoTask
from dfml.meta.learners import distilling, kd_loss
from dfml.meta.outer import task_loss_of
from tests.meta.small import tiny_model

TEACHER = torch.tensor([[0.6, 0.4]]).log()


def test_distilling_a_teacher_into_itself_is_the_minimum():
    teacher = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    student = teacher.clone().requires_grad_(True)
    loss = kd_loss(student, teacher)
    (grad,) = torch.autograd.grad(loss, student)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6) and float(grad.abs().max()) < 1e-7
    for step in range(5):
        other = teacher + 0.3 * torch.randn(20, 5, generator=torch.Generator().manual_seed(1 + step))
        assert float(kd_loss(other, teacher)) > 0


def test_it_is_the_kullback_leibler_divergence_from_the_teacher():
    student = torch.tensor([[0.9, 0.1]]).log()
    wanted = 0.6 * torch.tensor(0.6 / 0.9).log() + 0.4 * torch.tensor(0.4 / 0.1).log()
    assert float(kd_loss(student, TEACHER)) == pytest.approx(float(wanted), rel=1e-5)


def test_no_gradient_reaches_the_teacher():
    teacher = torch.randn(3, 4, requires_grad=True)
    student = torch.randn(3, 4, requires_grad=True)
    kd_loss(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None


def test_the_legacy_form_prefers_an_over_confident_student_and_has_a_tiny_gradient():
    same, sure = TEACHER, torch.tensor([[0.99, 0.01]]).log()
    assert float(kd_loss(sure, TEACHER, "legacy")) < float(kd_loss(same, TEACHER, "legacy"))
    # methods.md 2c gives -0.5965 and -0.6355 for the two (twice the mean over both elements).
    assert 2 * float(kd_loss(same, TEACHER, "legacy")) == pytest.approx(-1.193, abs=1e-2)
    assert 2 * float(kd_loss(sure, TEACHER, "legacy")) == pytest.approx(-1.271, abs=1e-2)
    teacher = 3 * torch.randn(150, 5, generator=torch.Generator().manual_seed(0))
    norms = {}
    for form in ("correct", "legacy"):
        student = torch.zeros(150, 5, requires_grad=True)
        norms[form] = float(torch.autograd.grad(kd_loss(student, teacher, form), student)[0].norm())
    assert norms["correct"] > 10 * norms["legacy"]
    assert torch.allclose(F.softmax(TEACHER, 1), torch.tensor([[0.6, 0.4]]))


def test_a_distilling_learner_takes_hard_labels_as_they_are_and_soft_in_its_form():
    student = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    teacher = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    hard = torch.tensor([0, 1, 2, 0, 1, 2])
    for form in ("correct", "legacy"):
        loss = distilling(form)
        assert torch.equal(loss(student, hard), F.cross_entropy(student, hard))
        torch.testing.assert_close(loss(student, teacher.softmax(1)), kd_loss(student, teacher, form))


@pytest.mark.parametrize("learner", ["maml", "protonet"])
def test_an_episode_of_recovered_pictures_asks_about_none_that_it_adapted_to(learner, monkeypatch):
    model, seen = tiny_model(learner), []
    laid_out = type(model.learner).laid_out

    def noted(self, params, given, asked):
        seen.extend([set(part.flatten(1).mean(1).tolist()) for part in (given, asked)])
        return laid_out(self, params, given, asked)

    monkeypatch.setattr(type(model.learner), "laid_out", noted)
    labels = torch.arange(5).repeat_interleave(4)
    images = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    task = PseudoTask(images, labels, torch.zeros(20, 5), "t", {})
    loss = task_loss_of(model, task, torch.Generator().manual_seed(1), student="episode", shot=1)
    loss({n: p.detach().requires_grad_(True) for n, p in model.params.items()})
    given, asked = seen
    assert (len(given), len(asked)) == (5, 15) and not given & asked
