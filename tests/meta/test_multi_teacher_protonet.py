import torch
import torch.nn.functional as F

from dfml.meta.learners import class_means, extract_features, make_learner, squared_distances
from dfml.meta.multi_teacher import MultiTeacherProtoNet
from tests.meta.test_interpolation import network, outer, task


def said(seed, count, teachers):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, teachers, 3, generator=generator).mul(3).softmax(2)


def test_one_teacher_who_knows_the_labels_is_a_prototypical_network():
    net, (sx, sy, qx, qy) = network(), task(1)
    hard = (sx, F.one_hot(sy).float().unsqueeze(1), qx, F.one_hot(qy).float().unsqueeze(1))
    (panel, gradient), (plain, wanted) = (
        outer(MultiTeacherProtoNet(), net, hard),
        outer(make_learner("protonet"), net, task(1)),
    )
    assert torch.allclose(panel.loss, plain.loss, rtol=1e-3) and panel.accuracy == plain.accuracy
    assert torch.allclose(gradient, wanted, rtol=1e-2, atol=1e-2)


def test_each_teacher_has_prototypes_of_its_own_and_its_own_targets():
    """By hand; a loop that kept the last teacher's answers would fail here."""
    net, (sx, _, qx, _) = network(), task(2)
    support, query = said(1, len(sx), 4), said(2, len(qx), 4)
    params = dict(net.named_parameters())
    h, g = extract_features(net, params, sx), extract_features(net, params, qx)
    losses = []
    for t in range(4):
        logits = -squared_distances(g, class_means(h, support[:, t] + 1e-4))
        losses.append(F.kl_div(logits.log_softmax(1), query[:, t], reduction="batchmean"))
    found, _ = outer(MultiTeacherProtoNet(), net, (sx, support, qx, query))
    assert torch.allclose(found.loss, torch.stack(losses).mean(), rtol=1e-5)
    assert len({round(float(loss.detach()), 4) for loss in losses}) == 4


def test_the_order_of_the_teachers_and_of_their_classes_means_nothing():
    net, (sx, _, qx, _) = network(), task(3)
    support, query = said(1, len(sx), 3), said(2, len(qx), 3)
    first, _ = outer(MultiTeacherProtoNet(), net, (sx, support, qx, query))
    turned, _ = outer(MultiTeacherProtoNet(), net, (sx, support[:, [2, 0, 1]], qx, query[:, [2, 0, 1]]))
    named, _ = outer(MultiTeacherProtoNet(), net, (sx, support[..., [1, 2, 0]], qx, query[..., [1, 2, 0]]))
    assert torch.allclose(first.loss, turned.loss) and torch.allclose(first.loss, named.loss)


def test_a_class_that_a_teacher_sees_nowhere_does_no_harm():
    net, (sx, _, qx, _) = network(), task(4)
    only = torch.zeros(len(sx), 1, 3)
    only[..., 0] = 1
    outcome, gradient = outer(MultiTeacherProtoNet(), net, (sx, only, qx, said(1, len(qx), 1)))
    assert torch.isfinite(outcome.loss) and torch.isfinite(gradient).all()
