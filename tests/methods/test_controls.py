"""Controls: students without any teacher, and with one."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Done, Note
from dfml.meta.evaluation import evaluate
from dfml.meta.outer import OuterLoop
from dfml.methods import METHODS
from dfml.methods.distill import one_of
from dfml.nets import generator as generators
from dfml.training.context import Training
from dfml.training.taking_part import TakingPart, everyone
from dfml.zoo import open_zoo
from dfml.zoo.zoo import Zoo
from tests.meta.small import sampler
from tests.methods.small import small

WITHOUT = ["no-teacher-patterns", "no-teacher-generators"]


def trained(name, zoo, seed=0, **changes):
    method, config = small(name, **changes)
    generator = torch.Generator().manual_seed(seed)
    events = list(method(config).train(Training(zoo, device=torch.device("cpu"), generator=generator)))
    assert isinstance(events[-1], Done)
    return events, events[-1].result


def made(name, shape, seed=0, count=4, each=6):
    cls = METHODS.get(name)
    return cls(cls.demo()).classes(torch.Generator().manual_seed(seed), shape, count, each)


@pytest.mark.parametrize("name", WITHOUT)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 27, 29)], ids=str)
def test_classes_are_made_up_pictures_of_any_size(name, shape):
    pictures = made(name, shape)
    assert pictures.shape == (4, 6, *shape) and pictures.dtype == torch.float32
    assert 0 <= float(pictures.min()) and float(pictures.max()) <= 1
    assert torch.equal(pictures, made(name, shape)) and not torch.equal(pictures, made(name, shape, seed=1))


def others_over_own(looks):
    """Mean distance of pictures [12 * 8, D] from those of other classes over that from those of their own."""
    apart, classes = torch.cdist(looks, looks), torch.arange(12).repeat_interleave(8)
    same = classes[:, None] == classes
    return float(apart[~same].mean() / apart[same & ~torch.eye(96, dtype=torch.bool)].mean())


@pytest.mark.stochastic
@pytest.mark.parametrize("name", WITHOUT)
def test_pictures_of_a_class_differ_but_less_than_those_of_several(name, margin):
    pictures = made(name, (3, 32, 32), count=12, each=8)
    assert float(pictures.std(1).mean()) > 0.02, "no two pictures of a class are the same"
    # What survives any shift: how often each brightness occurs in each channel.
    looks = pictures.flatten(3).sort(3).values[..., ::32].flatten(2)
    margin.at_least("other classes over own", others_over_own(looks.flatten(0, 1)), 1.1, null=1.0)


@pytest.mark.stochastic
def test_a_class_has_textures_of_its_own(margin):
    """By the spectra, which no shift changes, of grey pictures of one brightness and contrast."""
    grey = made("no-teacher-patterns", (3, 32, 32), count=12, each=8).mean(2).flatten(0, 1)
    grey = (grey - grey.mean((1, 2), keepdim=True)) / grey.std((1, 2), keepdim=True)
    spectra = torch.fft.rfft2(grey).abs().flatten(1)
    margin.at_least("other classes' spectra over own", others_over_own(spectra), 1.2, null=1.0)


@pytest.mark.parametrize("name", WITHOUT)
def test_no_teacher_is_looked_at(name, tiny_zoo, monkeypatch):
    def refuse(*_):
        raise AssertionError("a teacher was loaded")

    for way in ("teacher", "weights_of", "each_loaded"):
        monkeypatch.setattr(Zoo, way, refuse)
    _, model = trained(name, tiny_zoo)
    assert model.details["side_information"] == [] and "taking_part" not in model.details
    assert "queries" not in model.details


@pytest.mark.parametrize("name", WITHOUT)
def test_every_step_meets_new_classes_and_as_many_as_it_asks_for(name, tiny_zoo, monkeypatch):
    cls, met = METHODS.get(name), []
    real = cls.classes
    monkeypatch.setattr(cls, "classes", lambda self, *given: met.append(real(self, *given)) or met[-1])
    trained(name, tiny_zoo, iterations=3, tasks=2, shot=2, query=3)
    assert [len(each) for each in met] == [10] * 3 and all(each.shape[1] == 5 for each in met)
    assert not torch.equal(met[0], met[1]) and not torch.equal(met[1], met[2])


@pytest.mark.parametrize("name", WITHOUT)
def test_made_up_tasks_are_learned_as_the_config_says(name, tiny_zoo, monkeypatch):
    steps, step = [], OuterLoop.step

    def spy(self, tasks):
        steps.append((list(tasks), self.optimiser.param_groups[0]["lr"]))
        return step(self, tasks)

    monkeypatch.setattr(OuterLoop, "step", spy)
    first = []
    for seed in (0, 1):
        steps.clear()
        trained(name, tiny_zoo, seed=seed, iterations=1, tasks=3, shot=2, query=3, outer_lr=2e-3)
        ((tasks, lr),) = steps
        assert lr == 2e-3 and len(tasks) == 3
        for support_x, support_y, query_x, query_y in tasks:
            assert support_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
            assert query_y.tolist() == [label for label in range(5) for _ in range(3)]
            assert not any(torch.equal(a, b) for a in support_x for b in query_x), "shown, and asked about"
        first.append(tasks[0][0])
    assert not torch.equal(*first), "another run meets other classes"


@pytest.mark.parametrize("name", WITHOUT)
def test_it_goes_on_from_a_model_that_it_is_given(name, tiny_zoo, tmp_path):
    _, model = trained(name, tiny_zoo, iterations=1)
    model.save(tmp_path / "model")
    method, config = small(name, iterations=1, outer_lr=1e-9)
    how = {"device": torch.device("cpu"), "generator": torch.Generator().manual_seed(1), "start": tmp_path / "model"}
    *_, done = method(config).train(Training(tiny_zoo, **how))
    own = {n: p for n, p in model.params.items() if not n.startswith("fc.")}
    assert all(torch.allclose(done.result.params[n], p, atol=1e-6) for n, p in own.items())


def test_each_class_is_a_generator_of_its_own_as_the_config_says(monkeypatch):
    asked, real = [], generators.ImageGenerator

    def spy(shape, **how):
        asked.append({**how, "shape": shape})
        return real(shape, **how)

    monkeypatch.setattr(generators, "ImageGenerator", spy)
    cls = METHODS.get("no-teacher-generators")
    drawn, found = torch.Generator().manual_seed(0), {}
    for spread in (0.0, 2.0):
        config = cls.demo().override({"spread": spread, "generator_width": 8, "latent": 5})
        pictures = torch.logit(cls(config).classes(drawn, (3, 16, 16), 3, 4), eps=1e-4)
        found[spread] = pictures[:, 1:] - pictures[:, :1]
    assert [(how["width"], how["latent"], how["shape"]) for how in asked] == [(8, 5, (3, 8, 8))] * 6
    assert len({how["seed"] for how in asked}) == 6
    # Pictures of one noise differ by a tint, which is the same in all places.
    assert float(found[0.0].std((3, 4)).max()) < 0.05 < 0.2 < float(found[2.0].std((3, 4)).min())
    assert float(found[0.0].mean((3, 4)).abs().mean()) > 0.1


@pytest.mark.stochastic
def test_it_learns_what_its_own_classes_have_in_common(tiny_zoo, margin):
    events, _ = trained("no-teacher-patterns", tiny_zoo, iterations=40, tasks=2, shot=3, query=4)
    curve = [e.values["train/accuracy"] for e in events if "train/accuracy" in getattr(e, "values", {})]
    margin.at_least("accuracy on made-up classes", sum(curve[-10:]) / 10, 0.4, null=0.2)


def asked_of(monkeypatch):
    """Whom a recovery asks, and who answers about images."""
    from dfml.tasks.cache import Recoveries

    recovered, answering = set(), set()
    recover, ask = Recoveries.recover, Recoveries.ask

    def recovering(self, visits, **how):
        recovered.update(teacher for teacher, _ in visits)
        return recover(self, visits, **how)

    def asking(self, teacher, images):
        answering.add(teacher)
        return ask(self, teacher, images)

    monkeypatch.setattr(Recoveries, "recover", recovering)
    monkeypatch.setattr(Recoveries, "ask", asking)
    return recovered, answering


def test_one_teacher_alone_is_recovered_from_and_answers(tiny_zoo, monkeypatch):
    recovered, answering = asked_of(monkeypatch)
    events, model = trained("distill-one", tiny_zoo, visits=2)
    (teacher,) = recovered
    told = model.details["taking_part"]
    assert answering == recovered and told["taking_part"] == 1 and told["of"] == 3
    assert [row["reason"] for row in told["left_out"]] == [f"teacher {teacher} was drawn"]
    assert model.details["recoveries"] == 2 and model.details["side_information"] == []
    assert any(isinstance(e, Note) and "1 of 3 teachers" in e.text for e in events)


def test_the_seed_draws_whom_and_reports_play_no_part(tiny_zoo, monkeypatch):
    found = []
    for seed in range(8):
        recovered, _ = asked_of(monkeypatch)
        trained("distill-one", tiny_zoo, seed=seed, visits=1, iterations=1)
        found += recovered
        monkeypatch.undo()
    assert len(set(found)) > 1
    again, _ = asked_of(monkeypatch)
    trained("distill-one", tiny_zoo, seed=0, visits=1, iterations=1)
    assert again == {found[0]}


def test_all_teachers_are_asked_where_nothing_else_is_said(tiny_zoo, monkeypatch):
    recovered, answering = asked_of(monkeypatch)
    trained("distill", tiny_zoo, visits=1, init="random")
    assert recovered == answering == set(tiny_zoo.ids)


def test_a_single_teacher_has_nobody_to_agree_with_and_nothing_to_prepare(tiny_zoo):
    cls = METHODS.get("distill-one")
    with pytest.raises(BadInput, match="consensus=0"):
        cls.check_zoo(tiny_zoo, cls.demo().override({"consensus": 2}))
    method = cls(cls.demo())
    (done,) = method.prepare(tiny_zoo, device=torch.device("cpu"))
    assert done.result["passes"] == 0 and method.inversions(100) == (20, 20)
    for preset in ("demo", "published", "paper"):
        config = cls.preset(preset)
        assert (config.taught_by, config.init, config.consensus, config.visits) == ("one", "random", 0, 20)


def test_who_cannot_be_loaded_is_not_drawn(zoo_copy):
    kept, *others = open_zoo(zoo_copy).ids
    for teacher in others:
        (zoo_copy / teacher / "model.safetensors").write_bytes(b"no weights")
    usable = everyone(open_zoo(zoo_copy))
    assert {one_of(usable, seed).ids[0] for seed in range(6)} == {kept}
    assert set(one_of(usable, 0).left_out) == set(others)


def test_of_one_teacher_alone_its_own_terms_are_told():
    terms = {"a": "3 of 9", "b": "4 of 9"}
    alone = one_of(TakingPart(["a", "b"], {"c": "damaged"}, terms, ["a", "b"]), 0)
    (drawn,) = alone.ids
    assert alone.blind == [drawn] and alone.partly == {drawn: terms[drawn]} and alone.left_out["c"] == "damaged"


@pytest.mark.slow
@pytest.mark.stochastic
def test_made_up_classes_teach_features_that_beat_chance_on_others(tiny_zoo, patterns, margin):
    _, model = trained("no-teacher-patterns", tiny_zoo, iterations=150, shot=3, query=4)
    (row,) = evaluate(model, sampler(patterns, episodes=30), bn=["transductive"], adapt=["centroid"])
    margin.at_least("accuracy", row.accuracy, 0.4, null=0.2)
