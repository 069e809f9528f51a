"""BiDf-MKD: nothing but queries, the right soft targets, boundary queries, replay, plateaus."""

import math

import pytest
import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.core.events import Done, Note, Scalars
from dfml.meta.learners import LearnerConfig, distilling, kd_loss, make_learner
from dfml.meta.outer import OuterLoop, adapted_student
from dfml.methods import bidf_mkd
from dfml.tasks.memory import TaskMemory
from dfml.training.new_model import start_model
from dfml.training.plateau import PlateauDetector
from dfml.zoo.oracles.base import AutogradOracle, LocalApi
from dfml.zoo.oracles.choose import ZerothOrderConfig, ZerothOrderOracle
from tests import conditions
from tests.methods.small import small

TINY = {
    "recovered": "fresh",
    "recovered_per_class": 4,
    "query_per_class": 3,
    "inversion_steps": 3,
    "query_inversion_steps": 2,
    "q": 2,
    "latent": 8,
    "generator_width": 8,
    "generate_interval": 3,
    "boundary_after": 4,
}

CPU = torch.device("cpu")


def tiny(**changes):
    return small("bidf-mkd", **changes)


def inversions(events):
    return [e for e in events if isinstance(e, Note) and e.kind == "inverted"]


@pytest.fixture
def batches(monkeypatch):
    """Every meta-batch of a run: tasks and learners."""
    seen, step = [], OuterLoop.step

    def recorded(self, tasks, learners=None):
        seen.append((list(tasks), list(learners)))
        return step(self, tasks, learners)

    monkeypatch.setattr(OuterLoop, "step", recorded)
    return seen


def test_teachers_are_only_queried_and_every_query_is_on_the_bill(run, monkeypatch):
    counted, ask = [], LocalApi.ask

    def refuse(*_, **__):
        raise AssertionError("a black box gives no gradient")

    monkeypatch.setattr(AutogradOracle, "__init__", refuse)
    monkeypatch.setattr(LocalApi, "ask", lambda self, x, most=None: counted.append(len(x)) or ask(self, x, most))
    method, config = tiny()
    events = run(method, config)
    model, times = events[-1].result, len(inversions(events))
    assert model.details["queries"] == sum(counted)
    # (q + 1) a picture and step, and one for the soft targets.
    assert sum(counted) == times * 5 * (4 * (3 * 3 + 1) + 3 * (2 * 3 + 1))
    shown = [e.values["queries"] for e in events if isinstance(e, Scalars) and "queries" in e.values]
    assert len(shown) == times and shown[-1] == sum(counted)


def test_the_white_box_twin_takes_gradients_instead(run):
    method, config = tiny(oracle="autograd", bn=1.0, iterations=10)
    model = run(method, config)[-1].result
    assert model.details["queries"] == model.details["inversions"] * 5 * (4 * (3 + 1) + 3 * (2 + 1))


@pytest.mark.stochastic
def test_an_api_that_gives_probabilities_only_serves_as_well(run, tiny_zoo, batches, margin):
    method, config = tiny(outputs="probabilities", learner="maml", iterations=6)
    events = run(method, config)
    assert isinstance(events[-1], Done)
    ((_, support_y, *_), *_), _ = batches[0]
    torch.testing.assert_close(support_y.sum(1), torch.ones(20))
    # The logarithm of a probability has the same softmax as the logit that it came from.
    asked = {
        outputs: method(config.override({"outputs": outputs})).recoveries(tiny_zoo, CPU, 0)[0].oracle(("000", 0))
        for outputs in ("logits", "probabilities")
    }
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed()))
    a, b = (oracle.logits(x) for oracle in asked.values())
    assert not torch.allclose(a, b)
    margin.alike("probabilities", a.softmax(1), b.softmax(1), atol=1e-5)


@pytest.mark.stochastic
def test_soft_targets_are_those_of_the_api_that_was_inverted(run, tiny_zoo, batches, margin):
    events = run(*tiny(order="rounds", iterations=14))
    teachers = {t.card.id: t for t in tiny_zoo}
    met = set()
    for note in inversions(events):
        tasks, learners = batches[note.step - 1]
        own = note.text.split(",")[0].removeprefix("inverted ")
        met.add(own)
        support_x, support_y, query_x, query_y = tasks[0]
        for x, y in ((support_x, support_y), (query_x, query_y)):
            # Pictures were rounded to 16 bits after they had been asked about.
            apart = {i: float((t.logits(x).softmax(1) - y).abs().max()) for i, t in teachers.items()}
            margin.at_most("apart from the own API", apart.pop(own), 0.02)
            margin.at_least("apart from the others", min(apart.values()), 0.05)
        assert [learner.config.inner_steps for learner in learners] == [config_steps("kd_steps"), 1]
    assert len(met) > 1


def config_steps(name):
    return getattr(tiny()[1], name)


@pytest.mark.stochastic
def test_a_boundary_query_set_is_where_api_and_adapted_student_differ(tiny_zoo, margin):
    """With exact gradients, measured by the outer loss, which vanishes where the student has mastered the query set."""
    changes = {"query_inversion_steps": 40, "inversion_steps": 40, "inversion_lr": 0.01, "shift": 0, "inner_lr": 0.1}
    changes |= {"query_per_class": 2, "boundary_distance": "kl", "boundary": 0.5}
    ratios = {"maml": [], "protonet": []}
    for seed in range(conditions.seed(), conditions.seed(3)):
        method, config = tiny(oracle="autograd", **changes)
        supports, queries = method(config).recoveries(tiny_zoo, CPU, seed)

        def recover(made, **kw):
            *_, last = made.recover([("000", 0)], **kw)
            return last.result[0]

        # What seeks no boundary is the same for every learner.
        support, plain = recover(supports), recover(queries)
        assert len(plain.images) != len(support.images), "query and support are not one set"
        for learner, found in ratios.items():
            work = method(config.override({"learner": learner}))
            model = start_model(tiny_zoo, work.config, torch.Generator().manual_seed(seed), {})
            distiller = make_learner(learner, LearnerConfig(inner_lr=0.1, inner_steps=10), distilling("correct"))
            student = adapted_student(model, distiller, *bidf_mkd.soft_labelled(support))
            boundary = recover(queries, extra_loss=work.boundary_loss(student))
            assert len(boundary.images) == len(plain.images)
            apart = [float(kd_loss(student(x.images), x.soft_targets)) for x in (boundary, plain)]
            found.append(apart[0] / apart[1])
    for learner, found in ratios.items():
        mean = sum(found) / len(found)
        margin.at_least(f"disagreement over that on plain query sets, {learner}", mean, 1.2, null=1)


@pytest.mark.stochastic
def test_queries_follow_the_boundary_term_as_far_as_an_estimate_can(tiny_zoo, margin):
    """A direction in d pixels shows sqrt(1 / d) of a gradient: with few, recovered pictures need not show the term."""
    method, config = tiny(oracle="zeroth-order", learner="maml", boundary_distance="kl", inner_lr=0.1)
    teacher, g = tiny_zoo.teacher(0).double(), torch.Generator().manual_seed(conditions.seed())
    model = start_model(tiny_zoo, config, g, {})
    model.net.double()
    x = torch.rand(8, 3, 32, 32, generator=g, dtype=torch.double)
    distiller = make_learner("maml", LearnerConfig(inner_lr=0.1, inner_steps=3), distilling("correct"))
    student = adapted_student(model, distiller, x, teacher.logits(x).softmax(1))
    term = method(config).boundary_loss(student)

    # Of each picture's own loss, as estimates are: the student normalises pictures together, so that their sum has a
    # little of each in all the others.
    losses = term(x.requires_grad_(), None, teacher.logits(x))
    exact = [torch.autograd.grad(loss, x, retain_graph=True)[0][i].flatten() for i, loss in enumerate(losses)]
    exact = torch.stack(exact)
    asked = ZerothOrderOracle(LocalApi(teacher), ZerothOrderConfig(q=300, mu=1e-5), generator=g)
    estimate = asked.loss_and_grad(x, lambda logits, moved: term(moved, None, logits)).grad.flatten(1)
    same = losses.detach() != 0
    assert same.any() and not estimate[~same].any() and not exact[~same].any(), "of what both name alike"
    cosine = F.cosine_similarity(exact[same], estimate[same]).mean()
    margin.close("cosine over its expectation", cosine / math.sqrt(300 / (300 + x[0].numel())), 1, 0.25)


def test_query_sets_seek_the_boundary_only_after_the_warm_up(run):
    notes = inversions(run(*tiny(boundary_after=6, iterations=14)))
    assert {"a boundary" in n.text for n in notes} == {True, False}
    assert all(("a boundary" in n.text) == (n.step > 6) for n in notes)


@pytest.mark.stochastic
def test_the_inner_loop_distils_and_the_outer_gradient_passes_through_it(tiny_zoo, margin):
    """Against a finite difference, and unlike the first-order one that treats the inner loop as a constant."""
    config = tiny(learner="maml")[1]
    model = start_model(tiny_zoo, config, torch.Generator().manual_seed(conditions.seed()), {})
    model.net.double()
    g = torch.Generator().manual_seed(conditions.seed(1))
    sets = [(torch.rand(10, 3, 32, 32, generator=g), tiny_zoo.teacher(0)) for _ in range(2)]
    support, query = (
        (model.prepare(x.double()).contiguous(), t.logits(x).double().softmax(1)) for x, t in sets
    )  # fmt: skip

    def outer(params, first_order=False):
        learner = make_learner(
            "maml", LearnerConfig(inner_lr=0.1, inner_steps=3, first_order=first_order), distilling("correct")
        )
        return learner.outer(model.net, params, support, query).loss

    def gradient(first_order):
        params = {n: p.detach().clone().requires_grad_(True) for n, p in model.params.items()}
        found = torch.autograd.grad(outer(params, first_order), list(params.values()))
        return dict(zip(params, found, strict=True))

    exact, rough = gradient(False), gradient(True)
    way = {n: torch.randn(p.shape, generator=g, dtype=torch.double) for n, p in model.params.items()}

    def slope(grads):
        return float(sum((grads[n] * way[n]).sum() for n in way))

    def at(step):
        return float(outer({n: p.detach() + step * way[n] for n, p in model.params.items()}).detach())

    # Small enough that no unit of the network switches in between: the inner loop would jump there.
    measured = (at(1e-9) - at(-1e-9)) / 2e-9
    margin.close("exact gradient", slope(exact) / measured, 1, 1e-3)
    margin.at_least("first-order gradient is another", abs(slope(rough) / measured - 1), 0.02)


@pytest.mark.stochastic
def test_distilling_in_the_inner_loop_brings_the_student_closer_to_the_api(tiny_zoo, margin):
    config = tiny(learner="maml")[1]
    model = start_model(tiny_zoo, config, torch.Generator().manual_seed(conditions.seed()), {})
    teacher = tiny_zoo.teacher(0)
    x = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed()))
    logits = teacher.logits(x)
    loss = {}
    for form in ("correct", "legacy"):
        learner = make_learner("maml", LearnerConfig(inner_lr=0.1, inner_steps=10), distilling(form))
        loss[form] = float(kd_loss(adapted_student(model, learner, x, logits.softmax(1))(x), logits))
    start = float(kd_loss(model.net(model.prepare(x)).detach(), logits))
    # The published slip leaves the inner loop nearly the identity.
    margin.at_most("distance from the API", loss["correct"] / start, 0.8, null=1)
    margin.at_most("distance beside the legacy loss's", loss["correct"] / loss["legacy"], 0.9, null=1)


def test_replay_mixes_classes_of_different_apis(run, tiny_zoo, monkeypatch):
    drawn, sample = [], TaskMemory.sample

    def recorded(self, *args, **kw):
        found = sample(self, *args, **kw)
        drawn.append(set(found.classes))
        return found

    monkeypatch.setattr(TaskMemory, "sample", recorded)
    run(*tiny(tasks=3, iterations=14))
    whole = [set(keys) for keys in tiny_zoo.class_keys().values()]
    assert drawn[0] in whole, "after one API there is only one set of classes"
    assert any(classes not in whole for classes in drawn)


def test_an_api_is_inverted_at_the_start_and_then_only_at_plateaus(run):
    events = run(*tiny(generate_interval=4))
    accuracy = [e.values["train/accuracy"] for e in events if isinstance(e, Scalars) and "train/accuracy" in e.values]
    assert len(accuracy) == 20
    trigger = PlateauDetector(4)
    due = [1] + [step + 1 for step, value in enumerate(accuracy, 1) if trigger.update(value) and step < 20]
    found = [n.step for n in inversions(events)]
    assert found == due and 2 <= len(found) < 6
    assert events[-1].result.details["inversions"] == len(found)


def test_rounds_meet_every_api_before_any_twice(run, tiny_zoo):
    brief = {"inversion_steps": 1, "query_inversion_steps": 1, "q": 1}
    names = [
        n.text.split(",")[0].removeprefix("inverted ") for n in inversions(run(*tiny(generate_interval=1, **brief)))
    ]
    assert len(names) >= 6
    assert all(sorted(names[i : i + 3]) == sorted(tiny_zoo.ids) for i in (0, 3))
    few = inversions(run(*tiny(generate_interval=1, apis=1, iterations=6, **brief)))
    assert len(few) > 1
    assert {n.text.split(",")[0] for n in few} == {"inverted 000"}


def test_kept_support_sets_are_prepared_once_and_their_seconds_told_apart(run, tiny_zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    method, config = tiny(recovered="kept", visits=1, iterations=8)
    *_, last = method(config).prepare(tiny_zoo, device=CPU)
    assert last.result["queries"] == 3 * 5 * 4 * (3 * 3 + 1)
    first, again = (run(method, config)[-1].result for _ in range(2))
    assert first.details["preparation_seconds"] == pytest.approx(again.details["preparation_seconds"]) and (
        first.details["preparation_seconds"] > 0
    )
    assert first.details["queries"] == again.details["queries"]
    kept = set((tmp_path / "cache" / "recovered").iterdir())
    assert len(kept) == 3, "query sets follow the student and are never kept"
    assert all(torch.equal(a, b) for a, b in zip(first.net.parameters(), again.net.parameters(), strict=True))


def test_apis_of_other_sizes_channels_and_architectures_stand_in_one_zoo(run, mixed_zoo):
    assert {card.input_size for card in mixed_zoo.cards} == {(3, 32, 32), (1, 28, 28)}
    events = run(*tiny(generate_interval=1, iterations=8), zoo=mixed_zoo)
    assert {n.text.split(",")[0] for n in inversions(events)} == {"inverted 000", "inverted grey"}


def test_what_cannot_work_is_said_before_any_query(run):
    with pytest.raises(BadInput, match="set way"):
        run(*tiny(way=40))
    with pytest.raises(BadInput, match="at most 4"):
        run(*tiny(memory_visits=1))
