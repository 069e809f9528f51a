"""DRO's parts as ``train`` calls them, offline and online: with what, and what becomes of the model without them."""

import itertools

import pytest
import torch

from dfml.core.events import Scalars
from dfml.meta.fusion import WeightSpace
from dfml.meta.robust_fusion import RobustFusion
from dfml.methods import METHODS, dro
from dfml.nets.build import build_network
from dfml.nets.hyper import AffineHyperNetwork, Phi
from dfml.training.validation import Validation
from dfml.zoo import open_zoo
from dfml.zoo.teacher import save_network
from dfml.zoo.zoo import write_zoo
from tests import conditions
from tests.methods.small import small

BOTH = pytest.mark.parametrize("mode", ["offline", "online"])
FURTHER = {"embedding_lr": 1.0, "gamma": 0.1, "descent_steps": 4}
"""Embeddings that move far enough for every part to be felt in a few steps."""


class Spied:
    """What a training asked of the fusion, in order: (step, teacher, network, before, after, result) of each call."""

    def __init__(self, monkeypatch):
        self.calls, self.fusion, self.hyper, self.moves = [], None, None, 0
        for step, place in (("ascend", 0), ("worst_case", 0), ("update", 1)):
            monkeypatch.setattr(RobustFusion, step, self.watched(getattr(RobustFusion, step), step, place))
        moved, fit_units = Phi.moved, AffineHyperNetwork.fit_units

        def counted(phi, *args):
            self.moves += 1
            return moved(phi, *args)

        def noticed(hyper, flat):
            self.hyper = hyper
            return fit_units(hyper, flat)

        monkeypatch.setattr(Phi, "moved", counted)
        monkeypatch.setattr(AffineHyperNetwork, "fit_units", noticed)

    def watched(self, function, step, place):
        def call(fusion, *args):
            before = fusion.phi, fusion.taught, fusion.embeddings.clone(), args
            result = function(fusion, *args)
            self.fusion = fusion
            self.calls.append((step, args[place], args[-1], before, (fusion.phi, fusion.taught), result))
            return result

        return call

    def of(self, *steps):
        return [call for call in self.calls if call[0] in steps]


@pytest.fixture
def spied(monkeypatch):
    return Spied(monkeypatch)


def weights(events):
    model = events[-1].result
    return torch.cat([p.detach().flatten() for n, p in model.params.items() if not n.startswith("fc.")])


def teacher_weights(zoo):
    nets = [zoo.teacher(which).net for which in zoo.ids]
    return [torch.cat([p.detach().flatten() for n, p in x.named_parameters() if not n.startswith("fc.")]) for x in nets]


def curve(name, events):
    return torch.tensor([e.values[name] for e in events if isinstance(e, Scalars) and name in e.values])


@BOTH
def test_the_steps_come_in_the_paper_s_order_each_with_its_teacher_s_own_weights(mode, run, tiny_zoo, spied):
    run(*small("dro", mode=mode, epochs=2))
    names = [(step, teacher) for step, teacher, *_ in spied.calls]
    if mode == "offline":
        assert [step for step, _ in names] == ["ascend", "worst_case", "update"] * 6
        assert {i for step, i in names if step == "ascend"}.union(j for _, j in names) == {0, 1, 2}
        assert all(names[n][1] != names[n + 1][1] for n in range(0, 18, 3)), "S and Q share no teacher"
    else:
        first = [("ascend", 0)]
        assert names == first + [(step, t) for t in (1, 2) for step in ("worst_case", "update", "ascend")]
    known = teacher_weights(tiny_zoo)
    for _, teacher, network, *_ in spied.calls:
        own = torch.cat([tensor.flatten() for tensor in spied.hyper.restore(network).values()])
        assert torch.allclose(own, known[teacher], atol=1e-5)


@BOTH
def test_each_step_begins_where_the_one_before_left(mode, run, spied):
    """Phi* is phi after this step's teacher of S, or the one that came before; e* is judged at that phi*."""
    run(*small("dro", mode=mode, epochs=2, **FURTHER))
    taught = None
    for step, j, network, (phi, star, embeddings, args), (after, new_star), result in spied.calls:
        if step == "ascend":
            assert after is phi and new_star is not star, "the way to a teacher is a try"
            taught, worst = new_star, None
        elif step == "worst_case":
            assert star is taught
            worst = result
        else:
            assert star is taught and args[0] is worst and not torch.equal(worst, embeddings[j])
            lr = spied.fusion.rate / len(network)
            by_output = 2 * lr * (network - taught.write(worst))
            assert torch.allclose(after.bias, phi.bias + by_output, atol=1e-5)
            assert torch.allclose(after.weight, phi.weight + torch.outer(worst, by_output), atol=1e-5)


@BOTH
def test_k_steps_lead_to_the_teacher_of_s(mode, run, spied):
    found = []
    for k in (1, 3):
        spied.calls, spied.moves = [], 0
        found.append(weights(run(*small("dro", mode=mode, epochs=2, ascent_steps=k))))
        assert spied.moves == k * len(spied.of("ascend")) + len(spied.of("update"))
        nearer = []
        for _, i, network, (phi, _, embeddings, _), (_, star), _ in spied.of("ascend"):
            before, after = (p.write(e) - network for p, e in ((phi, embeddings[i]), (star, embeddings[i])))
            nearer.append(float(after.norm() / before.norm()))
        assert max(nearer) < 1
    assert not torch.equal(*found)


@BOTH
def test_a_skipped_worst_case_is_another_model_and_an_easier_one(mode, run, spied):
    easy = weights(run(*small("dro", mode=mode, **FURTHER | {"descent_steps": 0})))
    assert all(torch.equal(call[-1], call[3][2][call[1]]) for call in spied.of("worst_case"))
    spied.calls = []
    events = run(*small("dro", mode=mode, **FURTHER))
    assert not torch.allclose(weights(events), easy, atol=1e-6)
    harder = []
    for _, j, network, (_, star, embeddings, args), _, seen in spied.of("update"):
        at_worst, at_home = ((star.write(e) - network).square().mean() for e in (args[0], embeddings[j]))
        harder.append(float(at_worst / at_home))
        assert seen["train/loss"] == pytest.approx(float(at_worst), rel=1e-4)
        assert seen["dro/shift"] == pytest.approx(float((args[0] - embeddings[j]).norm()), rel=1e-4)
    assert min(harder) > 1, "e* is where the teacher of Q is less likely than at its own embedding"
    assert (curve("dro/shift", events) > 0).any()


@BOTH
def test_gamma_keeps_the_worst_case_near(mode, run):
    """In the span of 0.5 to 10 that the paper tries."""
    rates = {"embedding_lr": 0.03, "descent_steps": 10}
    events = [run(*small("dro", mode=mode, gamma=gamma, **rates)) for gamma in (0.5, 2.0, 10.0)]
    shifts = [float(curve("dro/shift", each).mean()) for each in events]
    assert shifts[0] > shifts[1] > shifts[2] > 0
    assert not torch.equal(weights(events[0]), weights(events[2]))


@BOTH
def test_the_embeddings_learn_in_the_steps_of_their_own_teachers_and_rest_in_others(mode, run, tiny_zoo, spied):
    run(*small("dro", mode=mode, **FURTHER))
    assert len(spied.fusion.embeddings) == len(tiny_zoo.ids)
    moved = set()
    for (step, who, _, (*_, before, _), *_), (*_, (*_, after, _), _, _) in itertools.pairwise(spied.calls):
        changed = {n for n in range(len(before)) if not torch.equal(before[n], after[n])}
        assert changed <= ({who} if step != "worst_case" else set()), "a worst case is not kept"
        moved |= {(step, n) for n in changed}
    assert {step for step, _ in moved} == {"ascend", "update"}


@BOTH
def test_the_model_is_the_network_of_the_mean_embedding(mode, run, spied):
    found = weights(run(*small("dro", mode=mode, **FURTHER)))

    def written(embedding):
        parts = spied.hyper.restore(spied.fusion.phi.write(embedding))
        return torch.cat([tensor.flatten() for tensor in parts.values()])

    assert torch.allclose(found, written(spied.fusion.embeddings.mean(0)), atol=1e-6)
    assert not any(torch.allclose(found, written(e), atol=1e-4) for e in spied.fusion.embeddings)


@BOTH
def test_what_is_validated_is_the_model_that_the_fusion_would_give_then(mode, run, monkeypatch):
    met, measure = [], Validation.measure

    def spy(self, model, *rest):
        met.append({name: value.detach().clone() for name, value in model.params.items()})
        return measure(self, model, *rest)

    monkeypatch.setattr(Validation, "measure", spy)
    given = run(*small("dro", mode=mode, epochs=1, validate_every=1, validation_episodes=1))[-1].result.params
    assert len(met) == 3 and all(torch.equal(met[-1][name], value) for name, value in given.items())
    assert not torch.equal(met[0]["blocks.0.0.weight"], met[1]["blocks.0.0.weight"])


@BOTH
def test_what_is_written_at_first_is_as_asked(mode, run, spied):
    for start in ("random", "zero"):
        spied.calls = []
        run(*small("dro", mode=mode, epochs=1, start=start))
        (phi, *_), *_ = spied.calls[0][3:]
        assert not phi.weight.any() and bool(phi.bias.any()) == (start == "random")


@BOTH
def test_the_fresh_model_itself_is_what_is_written_at_first(mode, run, spied, monkeypatch):
    """In the units of the teachers' weights: those it was made in before they were known are others."""
    fresh, first = [], WeightSpace.first_network

    def noted(space, start):
        fresh.append({name: value.detach().clone() for name, value in space.model.params.items()})
        return first(space, start)

    monkeypatch.setattr(WeightSpace, "first_network", noted)
    run(*small("dro", mode=mode, epochs=1, start="random"))
    (phi, *_), *_ = spied.calls[0][3:]
    written = spied.hyper.restore(phi.bias)
    assert written and set(written) <= set(fresh[0])
    for name, value in written.items():
        assert torch.allclose(value, fresh[0][name], atol=1e-5), name


def test_a_fit_is_asked_of_the_steps_of_all_epochs(run, spied):
    run(*small("dro", fit=0.6, epochs=4))
    left = 1 - 2 * spied.fusion.rate / len(spied.calls[0][2])
    assert len(spied.of("update")) == 12 and 1 - left**12 == pytest.approx(0.6)


@pytest.fixture(scope="module")
def noisy_zoo(tmp_path_factory):
    """A hundred networks: one, and noise of its own for each, so that whose part a fusion holds can be told."""
    folder = tmp_path_factory.mktemp("zoos") / "noisy"
    args = {"num_classes": 5, "in_chans": 3, "img_size": 32, "width": 8}
    ids = [f"{n:03d}" for n in range(100)]
    net = build_network("fewshot_conv4", seed=1, **args).eval()
    first = [parameter.detach().clone() for parameter in net.parameters()]
    for number, name in enumerate(ids):
        drawn = torch.Generator().manual_seed(conditions.seed(number))
        with torch.no_grad():
            for parameter, start in zip(net.parameters(), first, strict=True):
                parameter.copy_(start + 0.1 * torch.randn(start.shape, generator=drawn))
        known = {"architecture": "fewshot_conv4", "model_args": args, "details": {}}
        save_network(folder / name, net, **known, mean=[0.4] * 3, std=[0.3] * 3)
    write_zoo(folder, models=ids)
    return open_zoo(folder)


@pytest.mark.stochastic
@pytest.mark.parametrize("resplit", [False, True])
def test_what_phi_learns_from_s_and_from_q(resplit, run, noisy_zoo, monkeypatch, spied, margin):
    """Step 3 is of first order: a teacher of S only decides where the gradient of Q's is taken.

    What is learned is the mean of Q, 1 / (1 - 2 lr) times, less 2 lr / (1 - 2 lr) times that of S; of shares that are
    drawn anew in each epoch that of the last one, for a step forgets 2 lr of all before. The page says so.
    """
    drawn, draw = [], dro.draw_shares
    monkeypatch.setattr(dro, "draw_shares", lambda *args: drawn.extend(draw(*args)) or drawn)
    config = METHODS.get("dro").published().override({"width": 8, "head": "fresh", "resplit": resplit})
    found = weights(run(METHODS.get("dro"), config, zoo=noisy_zoo, data=None))
    standard = spied.hyper.standardise(torch.stack([found, *teacher_weights(noisy_zoo)]))
    solved = torch.linalg.lstsq(standard[1:].T, standard[0].unsqueeze(1)).solution[:, 0]
    s, q = drawn[-1]
    of_s, of_q = (float(solved[share].sum()) for share in (s, q))
    assert len({j for _, share in drawn for j in share}) > 40 if resplit else all(share == q for _, share in drawn)
    wanted_s, wanted_q = (0.07, 0.92) if resplit else (-0.07, 1.03)
    margin.close("part of S", of_s, wanted_s, 0.06)
    margin.close("part of Q", of_q, wanted_q, 0.08)


def test_what_is_published_holds_nothing_of_ours_and_runs_in_both_forms(run, tiny_zoo):
    method = METHODS.get("dro")
    config = method.published()
    ours = {"align": "none", "fit": None, "resplit": False, "start": "random", "head": "average"}
    assert {name: getattr(config, name) for name in ours} == ours
    assert (config.lr, config.ascent_steps, config.descent_steps, config.gamma) == (0.03, 1, 1, 2.0)
    assert config.held_out == 0.2 and config == method.paper()
    forms = {"offline": [], **method.variants}
    found = {name: run(method, config.override(["width=8", *changes])) for name, changes in forms.items()}
    assert set(found) == {"offline", "online"}
    heads = [events[-1].result.net.fc.weight for events in found.values()]
    fresh = run(*small("random"))[-1].result.net.fc.weight
    assert not any(torch.equal(head, fresh) for head in heads) and not torch.equal(*heads)
