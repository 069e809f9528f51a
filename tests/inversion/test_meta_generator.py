"""The meta-generator's own idea: it learns, over teachers, a start from which few steps suffice."""

import copy

import pytest
import torch

from dfml.inversion import INVERTERS
from dfml.inversion.batched import labels_per_class, open_batch
from dfml.nets.generator import ImageGenerator
from dfml.zoo.oracles.base import AutogradOracle
from tests import conditions
from tests.inversion.small import fresh_teacher, warmed

CPU = torch.device("cpu")
SMALL = {"latent": 16, "width": 16, "per_class": 4, "teachers": 2, "bn": 0.1}
TINY = {"warm_up": 40, **SMALL}


def make(**changes):
    cls = INVERTERS.get("meta-generator")
    return cls(cls.preset("demo").override({**SMALL, **changes}))


def fit(work, zoo, which=(1, 2), seed=9):
    oracles = [AutogradOracle(zoo.teacher(i)) for i in which]
    return list(work.fit(oracles, generator=torch.Generator().manual_seed(conditions.seed(seed)), device=CPU))


def accuracy(work, zoo, seeds=6, of=0):
    labels, hits = [labels_per_class(5, 4)], []
    for seed in range(seeds):
        steps = work.recover(
            [AutogradOracle(zoo.teacher(of))],
            labels,
            generator=torch.Generator().manual_seed(conditions.seed(seed)),
            device=CPU,
        )
        task = list(steps)[-1].tasks[0]
        hits.append((zoo.teacher(of).logits(task.images).argmax(1) == task.labels).float().mean())
    return float(torch.stack(hits).mean())


@pytest.mark.slow
@pytest.mark.stochastic
def test_its_warm_up_on_others_makes_it_recover_an_unseen_teacher_far_better(tiny_zoo, margin):
    """In the same five steps. Each teacher in turn is the unseen one, since a single one's gain scatters; and the
    share of wrong pictures is compared, since a zoo that a cold start recovers well leaves less to gain."""
    wrong_cold = wrong_warm = 0.0
    for unseen in range(3):
        cold, warm = make(warm_up=0), make(warm_up=20)
        fit(warm, tiny_zoo, which=[i for i in range(3) if i != unseen])
        assert warm.meta_steps == 20
        wrong_cold += 1 - accuracy(cold, tiny_zoo, seeds=12, of=unseen)
        wrong_warm += 1 - accuracy(warm, tiny_zoo, seeds=12, of=unseen)
    margin.at_most("pictures still wrong after the warm-up", wrong_warm / wrong_cold, 0.7, null=1.0)


def test_without_a_warm_up_every_recovery_starts_from_weights_of_its_own(tiny_zoo):
    """Else twenty recoveries of the cold generator would be twenty looks at one draw of its weights."""
    work, oracle = make(warm_up=0, steps=1, noise_lr=0.0), AutogradOracle(tiny_zoo.teacher(0))

    def first_pictures(seed):
        labels = [labels_per_class(5, 4)]
        return next(
            work.recover([oracle], labels, generator=torch.Generator().manual_seed(conditions.seed(seed)), device=CPU)
        ).images

    one, same, other = first_pictures(1), first_pictures(1), first_pictures(2)
    assert torch.equal(one, same) and work.net is None
    # The mean picture is the network's, not the noise's.
    assert (one.mean(0) - other.mean(0)).abs().mean() > 1e-3


def test_a_recovery_leaves_the_meta_generator_as_it_was(tiny_zoo):
    work = make(warm_up=2)
    fit(work, tiny_zoo)
    before = {n: p.clone() for n, p in work.net.named_parameters()}
    accuracy(work, tiny_zoo, seeds=1)
    assert all(torch.equal(before[n], p) for n, p in work.net.named_parameters())
    assert all(p.grad is None for p in work.net.parameters())


def by_hand(work, oracle, labels, seed):
    """Adapt a clone step by step; returns gradients at each step and the clone's final weights."""
    (lane,) = open_batch([oracle], [labels], torch.Generator().manual_seed(conditions.seed(seed)), CPU)
    net, cfg = copy.deepcopy(work.net), work.config
    z = torch.randn(len(labels), cfg.latent, generator=lane.generator).requires_grad_(True)
    groups = [{"params": list(net.parameters())}, {"params": [z], "lr": cfg.noise_lr}]
    optimiser = torch.optim.Adam(groups, lr=cfg.lr, betas=(0.5, 0.999))
    gradients = []
    for _ in range(cfg.steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(oracle.teacher.logits(net(z)), labels)
        loss.backward()
        gradients.append({n: p.grad.clone() for n, p in net.named_parameters()})
        optimiser.step()
    return gradients, {n: p.detach() for n, p in net.named_parameters()}


@pytest.mark.stochastic
@pytest.mark.parametrize("outer", ["fomaml", "fomaml-every", "reptile"])
def test_the_outer_gradient_is_what_its_name_says(outer, tiny_zoo, margin):
    """Recomputed without the inverter's own loop: plain cross-entropy, no jitter, one teacher."""
    work = make(outer=outer, bn=0.0, shift=0, flip=False, steps=3)
    work.prepare((3, 32, 32), 5, CPU)
    start = {n: p.detach().clone() for n, p in work.net.named_parameters()}
    oracle, labels = AutogradOracle(tiny_zoo.teacher(0)), labels_per_class(5, 4)
    gradients, end = by_hand(work, oracle, labels, seed=3)
    seen = {}

    def spy(closure=None):
        seen.update({n: p.grad.clone() for n, p in work.net.named_parameters()})

    work.optimiser.step = spy
    list(
        work.meta_stepping([oracle], [labels], generator=torch.Generator().manual_seed(conditions.seed(3)), device=CPU)
    )
    for name in start:
        expected = {
            "fomaml": gradients[-1][name],
            "fomaml-every": sum(g[name] for g in gradients),
            "reptile": start[name] - end[name],
        }[outer]
        # A bias before a normalisation has no gradient but rounding noise, which Adam turns into steps.
        if gradients[0][name].abs().max() > 1e-5:
            margin.alike(name, seen[name], expected, atol=2e-3, rtol=0.05)


def test_the_recovered_pictures_are_those_of_the_last_forward_pass(tiny_zoo):
    """Five steps cost five passes of the teacher; the soft targets, without a way back, count as queries."""
    work, oracle = make(warm_up=0), AutogradOracle(tiny_zoo.teacher(0))
    steps = list(
        work.recover(
            [oracle], [labels_per_class(5, 4)], generator=torch.Generator().manual_seed(conditions.seed()), device=CPU
        )
    )
    assert len(steps) == 5 and oracle.passes == 5
    assert torch.equal(steps[-1].images, steps[-1].tasks[0].images)


def test_an_interrupted_warm_up_goes_on_to_the_same_weights(tiny_zoo):
    whole = make(warm_up=4, per_class=2)
    fit(whole, tiny_zoo)
    oracles = [AutogradOracle(tiny_zoo.teacher(i)) for i in (1, 2)]
    generator = torch.Generator().manual_seed(conditions.seed(9))
    first = make(warm_up=4, per_class=2)
    stream = first.fit(oracles, generator=generator, device=CPU)
    for _ in range(2):
        next(stream)
    state, random = first.state(), generator.get_state()
    second = make(warm_up=4, per_class=2)
    second.load(state)
    assert second.meta_steps == 2
    generator = torch.Generator()
    generator.set_state(random)
    assert [s.step for s in second.fit(oracles, generator=generator, device=CPU)] == [3, 4]
    for a, b in zip(whole.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_holds_copies(tiny_zoo):
    work = make(warm_up=2)
    fit(work, tiny_zoo)
    state = work.state()
    kept = {n: v.clone() for n, v in state.items() if isinstance(v, torch.Tensor)}
    drawn, labels = [AutogradOracle(tiny_zoo.teacher(1))], [labels_per_class(5, 2)]
    list(work.meta_stepping(drawn, labels, generator=torch.Generator(), device=CPU))
    assert all(torch.equal(state[n], v) for n, v in kept.items())


def test_a_meta_generator_of_mixed_teachers_paints_the_largest_in_colour():
    grey = AutogradOracle(fresh_teacher("fewshot_conv4", "g", size=28, channels=1, width=4))
    colour = AutogradOracle(fresh_teacher("fewshot_conv4", "c", width=4))
    work = warmed("meta-generator", [grey, grey, colour], warm_up=1)
    assert work.net.shape == (3, 32, 32)


def recovered(work, oracle, **how):
    labels, generator = [labels_per_class(5, 4)], torch.Generator().manual_seed(conditions.seed(4))
    return [step.images for step in work.recover([oracle], labels, generator=generator, device=CPU, **how)]


def test_noise_that_a_class_shares_moves_all_its_pictures_alike(tiny_zoo, monkeypatch):
    met, forward = [], ImageGenerator.forward

    def noting(self, z, *labels):
        met.append(z.detach().clone())
        return forward(self, z, *labels)

    monkeypatch.setattr(ImageGenerator, "forward", noting)
    recovered(make(warm_up=0, noise_lr=0.0, class_lr=0.1, steps=3), AutogradOracle(tiny_zoo.teacher(0)))
    moved = (met[2] - met[0]).view(5, 4, -1)
    assert torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-6)
    assert min(float((moved[a, 0] - moved[b, 0]).norm()) for a in range(5) for b in range(a)) > 0.1
    # Adam's first step is the rate in each number.
    first = (met[1] - met[0]).abs()
    assert torch.allclose(first, torch.full_like(first, 0.1), rtol=0.05)


def test_pictures_after_the_last_step_are_those_that_a_further_step_would_look_at(tiny_zoo):
    oracle = AutogradOracle(tiny_zoo.teacher(0))
    how = {"warm_up": 0, "class_lr": 0.1}
    more, after = recovered(make(steps=4, **how), oracle), recovered(make(steps=3, after=True, **how), oracle)
    assert len(after) == 3 and torch.equal(after[-1], more[3]) and not torch.equal(after[-1], more[2])
    assert all(torch.equal(a, b) for a, b in zip(after[:2], more[:2], strict=True))
