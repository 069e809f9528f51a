"""DRO: what the affine hyper-network can and cannot give, the worst case, the first-order gradient, the online pass."""

import shutil

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Embedding, Note, Scalars
from dfml.meta.robust_fusion import RobustFusion
from dfml.methods.dro import DroConfig, algorithm_1, draw_shares
from dfml.nets.checkpoint import flatten_state
from dfml.nets.hyper import AffineHyperNetwork, Phi
from dfml.tasks.similarity import mean_pairwise_cosine_distance
from dfml.zoo import open_zoo
from tests.methods.small import small

TINY = {"epochs": 7, "embedding": 4}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fusion(count=6, size=9, **changes):
    """A fusion of random networks in the middle of its training, and those networks [count, size]."""
    config = DroConfig(embedding=4, epochs=3, embedding_lr=0.2, **changes)
    networks = torch.randn(count, size, generator=generator(1))
    made = RobustFusion(config, torch.randn(size, generator=generator(2)))
    made.phi = made.phi._replace(weight=torch.randn(4, size, generator=generator(3)))
    for _ in range(count):
        made.meet(generator(4 + len(made.embeddings)))
    return made, networks


def log_likelihood(phi, embedding, network):
    return -(phi.write(embedding) - network).square().mean()


def test_a_perfect_fit_is_plain_averaging():
    networks = torch.randn(5, 7, generator=generator(), dtype=torch.float64)
    embeddings = torch.randn(5, 6, generator=generator(1), dtype=torch.float64)
    solved = torch.linalg.lstsq(torch.cat([embeddings, torch.ones(5, 1).double()], 1), networks).solution
    phi = Phi(solved[:-1], solved[-1])
    assert torch.allclose(phi.write(embeddings), networks)
    assert torch.allclose(phi.write(embeddings.mean(0)), networks.mean(0))


def test_the_gradients_are_those_of_the_likelihood():
    made, networks = fusion()
    weight, bias, e = (x.clone().requires_grad_(True) for x in (*made.phi, made.embeddings[0]))
    by_weight, by_bias, by_e = torch.autograd.grad(log_likelihood(Phi(weight, bias), e, networks[0]), (weight, bias, e))
    by_output, found = made.phi.likelihood_gradients(made.embeddings[0], networks[0])
    assert torch.allclose(by_output, by_bias) and torch.allclose(found, by_e)
    assert torch.allclose(torch.outer(made.embeddings[0], by_output), by_weight)


def test_the_bilevel_step_is_the_first_order_one_computed_by_hand():
    made, networks = fusion(ascent_steps=2)
    phi, e_i, e_j = made.phi, made.embeddings[0].clone(), made.embeddings[1].clone()
    rate, size = made.config.lr * networks.shape[1], networks.shape[1]

    star, e = phi, e_i
    for _ in range(2):
        leaves = [x.clone().requires_grad_(True) for x in (*star, e)]
        g = torch.autograd.grad(log_likelihood(Phi(*leaves[:2]), leaves[2], networks[0]), leaves)
        star = Phi(star.weight + rate * g[0], star.bias + rate * g[1])
        e = e + made.config.embedding_lr * g[2]
    made.ascend(0, networks[0])
    assert torch.allclose(made.taught.weight, star.weight, atol=1e-6) and torch.allclose(made.embeddings[0], e)
    assert made.phi is phi, "the way to teacher i is a try: phi itself stays"

    worst = e_j + 0.3
    leaves = [x.clone().requires_grad_(True) for x in (*star, worst)]
    value = log_likelihood(Phi(*leaves[:2]), leaves[2], networks[1])
    g = torch.autograd.grad(value, leaves)
    seen = made.update(worst, 1, networks[1])
    assert seen["train/loss"] == pytest.approx(-value.item(), rel=1e-4)
    assert seen["dro/shift"] == pytest.approx(0.6)
    assert torch.allclose(made.phi.weight, phi.weight + rate * g[0], atol=1e-6)
    assert torch.allclose(made.phi.bias, phi.bias + rate * g[1], atol=1e-6)
    assert torch.allclose(made.embeddings[1], e_j + made.config.embedding_lr * g[2], atol=1e-6)
    assert size == len(made.phi.bias)


@pytest.mark.stochastic
def test_the_worst_case_is_less_likely_and_stays_nearer_as_gamma_grows(margin):
    shifts = []
    for gamma in (0.1, 0.5, 2.0):
        made, networks = fusion(gamma=gamma, descent_steps=20)
        made.ascend(0, networks[0])
        worst = made.worst_case(1, networks[1])
        at_worst, at_home = (log_likelihood(made.taught, e, networks[1]) for e in (worst, made.embeddings[1]))
        margin.at_least("how unlikely the worst case is", at_worst / at_home, 1.05, null=1)
        shifts.append(float((worst - made.embeddings[1]).norm()))
    assert shifts[2] > 0
    margin.at_most("shift as gamma grows", max(shifts[1] / shifts[0], shifts[2] / shifts[1]), 0.95, null=1)


def test_gamma_is_not_felt_in_a_single_descent_step():
    found = []
    for gamma in (0.5, 10.0):
        made, networks = fusion(gamma=gamma, descent_steps=1)
        made.ascend(0, networks[0])
        found.append(made.worst_case(1, networks[1]))
    assert torch.equal(*found)


def test_without_descent_steps_there_is_no_worst_case():
    made, networks = fusion(descent_steps=0)
    made.ascend(0, networks[0])
    assert torch.equal(made.worst_case(1, networks[1]), made.embeddings[1])


def test_s_and_q_share_the_teachers_and_are_drawn_anew_only_where_asked():
    for resplit in (False, True):
        shares = draw_shares(10, DroConfig(epochs=4, resplit=resplit), generator())
        assert len(shares) == 4
        for s, q in shares:
            assert (len(s), len(q)) == (8, 2) and sorted(s + q) == list(range(10))
        assert (len({tuple(sorted(q)) for _, q in shares}) > 1) == resplit
    for s, q in draw_shares(2, DroConfig(held_out=0.9), generator()):
        assert len(s) == len(q) == 1


def test_offline_learns_from_s_and_validates_on_q_only():
    made, networks = fusion(ascent_steps=1)
    learned, validated = [], []
    ascend, update = made.ascend, made.update
    made.ascend = lambda i, network: (learned.append(i), ascend(i, network))[1]
    made.update = lambda worst, j, network: (validated.append(j), update(worst, j, network))[1]
    shares = [([0, 1, 2, 3], [4, 5])] * 3
    assert [step for step, _ in algorithm_1(made, networks, shares, generator())] == list(range(1, 19))
    assert set(learned) <= {0, 1, 2, 3} and set(validated) <= {4, 5}


@pytest.mark.stochastic
def test_the_initialisation_comes_near_the_average_of_a_zoo_that_it_has_learned(margin):
    made, networks = fusion(resplit=True)
    made.config = made.config.override({"epochs": 100, "lr": 0.02})
    before = (made.initialisation() - networks.mean(0)).norm()
    for _ in algorithm_1(made, networks, draw_shares(6, made.config, generator()), generator()):
        pass
    margin.at_most("distance", (made.initialisation() - networks.mean(0)).norm() / before, 0.3, null=1)


def test_the_fit_that_is_asked_for_is_reached_whatever_the_number_of_steps():
    for steps in (10, 300):
        made = RobustFusion(DroConfig(embedding=4, fit=0.6, embedding_lr=1e-6), torch.zeros(9), steps)
        made.meet(generator())
        made.embeddings *= 0
        for _ in range(steps):
            made.taught = made.phi
            made.update(made.embeddings[0], 0, torch.ones(9))
        assert torch.allclose(made.initialisation(), torch.full((9,), 0.6), atol=1e-4)


def test_units_are_those_of_each_tensor_and_come_back():
    like = {"a": torch.zeros(3, 4), "b": torch.zeros(2), "c": torch.zeros(1)}
    hyper = AffineHyperNetwork(like)
    nets = [{"a": 5 + 3 * torch.randn(3, 4), "b": 1e-3 * torch.randn(2), "c": torch.ones(1)} for _ in range(4)]
    flat = torch.stack([hyper.flatten(net) for net in nets])
    hyper.fit_units(flat)
    standard = hyper.standardise(flat)
    for part in standard[:, :14].split([12, 2], dim=1):
        assert part.mean().abs() < 1e-5 and part.std(correction=0) == pytest.approx(1, abs=1e-5)
    assert standard[:, 14].abs().max() == 0 and hyper.scale[14] == 1
    back = hyper.restore(standard[2])
    assert all(torch.allclose(back[name], nets[2][name], atol=1e-6) for name in like)


def count_reads(zoo, monkeypatch):
    reads, read = [], zoo.weights_of
    monkeypatch.setattr(zoo, "weights_of", lambda which: (reads.append(which), read(which))[1])
    return reads


def test_online_never_comes_back_to_an_earlier_teacher(run, tiny_zoo, monkeypatch):
    reads = count_reads(tiny_zoo, monkeypatch)
    events = run(*small("dro", mode="online"), zoo=tiny_zoo)
    assert reads == tiny_zoo.ids
    middle = next(e for e in events if isinstance(e, Checkpoint) and e.step == 2)
    reads.clear()
    rest = run(*small("dro", mode="online"), zoo=tiny_zoo, state=middle.state)
    assert reads == tiny_zoo.ids[2:], "not even where a run goes on"
    a, b = (found[-1].result.net.state_dict() for found in (events, rest))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_checkpoint_is_not_moved_by_later_steps():
    made, networks = fusion()
    made.ascend(0, networks[0])
    state = flatten_state(made.state())
    kept = {name: value.clone() for name, value in state.items()}
    made.update(made.worst_case(1, networks[1]), 1, networks[1])
    made.ascend(1, networks[1])
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    made.load(state)
    assert all(torch.equal(flatten_state(made.state())[name], kept[name]) for name in kept)


@pytest.mark.stochastic
@pytest.mark.parametrize("mode", ["offline", "online"])
def test_the_head_is_fresh_or_fused(mode, run, zoo_copy, margin):
    """Online, three teachers' heads leave a mixture of any shares; where they are one, fusing leads to it."""
    for copy in ("001", "002"):
        shutil.copytree(zoo_copy / "000", zoo_copy / copy, dirs_exist_ok=True)
    zoo = open_zoo(zoo_copy)
    theirs = zoo.teacher(0).net.fc.weight
    fresh = run(*small("random"), zoo=zoo)[-1].result.net.fc.weight
    assert torch.equal(run(*small("dro", mode=mode), zoo=zoo)[-1].result.net.fc.weight, fresh)
    fused = run(*small("dro", mode=mode, head="average", fit=0.9), zoo=zoo)[-1].result.net.fc.weight
    apart = [(head - theirs).norm() for head in (fused, fresh)]
    margin.at_most("distance from the teachers' head", (apart[0] / apart[1]).item(), 0.7, null=1)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_what_is_fused_are_the_weights_of_each_teacher(mode, run, zoo_copy):
    before = run(*small("dro", mode=mode), zoo=open_zoo(zoo_copy))[-1].result.params
    shutil.copytree(zoo_copy / "000", zoo_copy / "002", dirs_exist_ok=True)
    after = run(*small("dro", mode=mode), zoo=open_zoo(zoo_copy))[-1].result.params
    assert not all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_it_needs_one_architecture_and_says_what_to_do(mode, run):
    with pytest.raises(BadInput, match="dro: no teacher .* set architecture"):
        run(*small("dro", mode=mode, width=16))
    with pytest.raises(BadInput, match="dro: no teacher .* head=fresh"):
        run(*small("dro", mode=mode, way=4, head="average"))


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_damaged_teacher_is_named_and_the_others_are_fused(mode, zoo_copy, run):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"junk")
    events = run(*small("dro", mode=mode), zoo=open_zoo(zoo_copy))
    assert any(isinstance(e, Note) and e.kind == "rejected" and "001" in e.text for e in events)
    assert any(isinstance(e, Scalars) for e in events)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_one_teacher_cannot_both_teach_and_validate(mode, zoo_copy, run):
    for name in ("001", "002"):
        (zoo_copy / name / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(BadInput, match="gives only one"):
        run(*small("dro", mode=mode), zoo=open_zoo(zoo_copy))


def test_rates_that_are_too_large_fail_with_a_clear_line(run):
    from dfml.core.errors import RunFailed

    with pytest.raises(RunFailed, match="lower lr and embedding_lr"):
        run(*small("dro", fit=None, lr=0.5, embedding_lr=100, epochs=200, ascent_steps=5))


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_fusion_tells_its_worst_cases_and_what_it_would_give_now(mode, run, monkeypatch):
    asked, learned = [], []
    update = RobustFusion.update

    def watched(self, worst, j, network):
        asked.append(worst.clone())
        learned[:] = [self]
        return update(self, worst, j, network)

    monkeypatch.setattr(RobustFusion, "update", watched)
    method, config = small("dro", mode=mode, validate_every=2, validation_episodes=2)
    events = run(method, config)
    diverse = list(learned)
    told = [vector for event in events if isinstance(event, Embedding) for vector in event.vectors]
    assert len(told) == len(asked) and all(torch.equal(a, b) for a, b in zip(told, asked, strict=True))

    # The last validation is of the very network that the training gives.
    def curve(name, events):
        return [e.values[name] for e in events if isinstance(e, Scalars) and name in e.values]

    last = curve("val/accuracy", events)
    model, rare = events[-1].result, run(*small("dro", mode=mode, validate_every=10**6, validation_episodes=2))
    assert len(last) > 1
    assert all(torch.equal(a, b) for a, b in zip(model.params.values(), rare[-1].result.params.values(), strict=True))
    assert last[-1] == curve("val/accuracy", rare)[-1]
    # How diverse the teachers' own embeddings are, each once; the last teacher of all still learns online.
    spread = curve("tasks/diversity", events)
    assert len(spread) == len(told)
    assert spread[-1] == pytest.approx(mean_pairwise_cosine_distance(diverse[0].embeddings), abs=1e-6)
