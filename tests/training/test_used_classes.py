"""Teachers of any way and size take part: which of their classes are used, and that these are the right columns."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Images, Note
from dfml.inversion import INVERTERS, terms
from dfml.inversion.recipe import Recipe
from dfml.methods import METHODS
from dfml.tasks.cache import Recoveries
from dfml.training.taking_part import everyone
from dfml.training.used_classes import as_used
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.oracles.choose import make_oracle
from tests import conditions
from tests.methods.small import small
from tests.motley import motley_zoo

DISTILLING = ["purer", "free", "teapot", "tgr", "distill", "bidf-mkd"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def motley(tmp_path_factory):
    return motley_zoo(tmp_path_factory.mktemp("motley") / "zoo")


def config_of(name, **changes):
    return METHODS.get(name).preset("demo").override(changes)


def test_an_option_that_is_left_open_is_not_written():
    config = config_of("free")
    assert not {"images_size", "classes_per_teacher"} & config.model_dump(mode="json").keys()
    asked = config.override({"images_size": 32, "classes_per_teacher": 5})
    assert type(asked).parse(asked.model_dump(mode="json")) == asked and asked.classes_per_teacher == "5"


def test_another_seed_takes_other_classes_of_a_large_head(motley):
    found = [as_used(motley, config_of("free"), seed).slots(motley.card("twenty")) for seed in range(12)]
    assert all(len(set(slots)) == 5 for slots in found)
    assert {slot for slots in found for slot in slots} > set(range(5))
    assert list(as_used(motley, config_of("free"), 0).slots(motley.card("three"))) == [0, 1, 2]


def test_kept_recoveries_are_of_the_same_classes_in_all_runs(motley):
    kept = config_of("tgr", recovered="kept")
    assert as_used(motley, kept, 1).narrowing == as_used(motley, kept, 2).narrowing
    fresh = kept.override({"recovered": "fresh"})
    assert as_used(motley, fresh, 1).narrowing != as_used(motley, fresh, 2).narrowing


def test_classes_can_be_listed_by_name_and_by_position(motley):
    used = as_used(motley, config_of("purer", classes_per_teacher="twenty 7, twenty 13, 0, 2"), 0)
    assert used.slots(motley.card("twenty")) == (0, 2, 7, 13)
    assert used.slots(motley.card("three")) == (0, 2)
    only = as_used(motley, config_of("purer", classes_per_teacher="twenty 7,twenty 13"), 0)
    assert only.ids == ["twenty"]
    assert set(everyone(only).left_out) == set(motley.ids) - {"twenty"}
    for text in ("1", "twenty 7", "", "no such, class", "9" * 5000, f"1,{'9' * 5000}"):
        with pytest.raises(BadInput, match="classes_per_teacher"):
            as_used(motley, config_of("purer", classes_per_teacher=text), 0)


@pytest.mark.parametrize("oracle", ["autograd", "zeroth-order"])
def test_answers_are_the_columns_of_the_used_classes(motley, oracle):
    used = as_used(motley, config_of("distill", classes_per_teacher="twenty 7,twenty 13,twenty 2"), 0)
    asking = AskingConfig(oracle=oracle, q=3)
    made = make_oracle(used, "twenty", asking, generator=torch.Generator().manual_seed(0), device=CPU)
    x = torch.rand(4, 3, 32, 32)
    assert made.way == 3 and made.class_keys == ["twenty 2", "twenty 7", "twenty 13"]
    with torch.no_grad():
        full = motley.teacher("twenty").logits(x)
    assert torch.allclose(made.logits(x), full[:, [2, 7, 13]], atol=1e-6)
    labels = torch.tensor([0, 1, 2, 1])
    answer = made.loss_and_grad(x, lambda logits, _: terms.cross_entropy(logits, labels))
    whole = terms.cross_entropy(full, torch.tensor([2, 7, 13, 7]))
    assert torch.allclose(answer.loss, whole, atol=1e-5)


@pytest.mark.parametrize("together", ["always", "never"])
def test_a_recovery_shows_the_classes_that_are_used(tiny_zoo, together):
    """An image of a class is to be one for the whole head, not for the few classes that are used."""
    used = as_used(tiny_zoo, config_of("distill", classes_per_teacher="1,3", images_size=24), 0)
    work = INVERTERS.get("pixels")
    recipe = Recipe(used, work(work.Config().override({"steps": 150, "together": together})), 3)
    (task,) = last_of(Recoveries(recipe, keep=False).recover([("000", 0)]))
    assert task.labels.tolist() == [0] * 3 + [1] * 3 and task.soft_targets.shape == (6, 2)
    assert task.images.shape == (6, 3, 24, 24)
    with torch.no_grad():
        said = tiny_zoo.teacher("000").logits(task.images)
    assert said.argmax(1).tolist() == [1] * 3 + [3] * 3


def last_of(events):
    *_, last = events
    return last.result


def test_kept_files_tell_narrowed_recoveries_apart(motley):
    def mark(zoo):
        work = INVERTERS.get("generator")
        return Recoveries(Recipe(zoo, work(work.Config()))).mark(("twenty", 0))

    seen = [motley, *(as_used(motley, config_of("distill", classes_per_teacher=n), 0) for n in (3, 4))]
    seen.append(as_used(motley, config_of("distill", images_size=48), 0))
    assert len({mark(zoo) for zoo in seen}) == 4


def test_most_teachers_set_the_size_of_all_images(motley):
    assert motley.picture_shape == (3, 32, 32)
    assert as_used(motley, config_of("free", images_size=16), 0).picture_shape == (3, 16, 16)


def test_a_set_that_no_machine_holds_is_refused_before_it_is_drawn(motley):
    method = METHODS.get("purer")
    with pytest.raises(BadInput, match="classes_per_teacher"):
        method.check_zoo(motley, method.preset("demo").override({"images_size": 224}))
    method.check_zoo(motley, method.preset("demo").override({"images_size": 224, "classes_per_teacher": 5}))


@pytest.mark.parametrize("name", DISTILLING)
def test_everybody_takes_part_and_who_does_not_is_named(name, run, motley):
    method, config = small(name, classes_per_teacher=5, iterations=6)
    changes = {"images_size": 16, "bn": 1.0} | ({"apis": 100} if name == "bidf-mkd" else {})
    events = run(method, config.override(changes), zoo=motley, data=None)
    told = events[-1].result.details["taking_part"]
    left_out = {teacher for row in told["left_out"] for teacher in row["ids"]}
    assert left_out == ({"asked"} if name in ("purer", "free") else set())
    assert told["taking_part"] == len(motley.cards) - len(left_out)
    assert told["partly"]["twenty"] == "5 of 20" and told["partly"]["thousand"] == "5 of 1000"
    notes = [event for event in events if isinstance(event, Note)]
    (blind,) = (note.text for note in notes if note.kind == "terms")
    assert "vit" in blind and "five" not in blind
    assert events[-1].result.input_size == (3, 16, 16)
    used = {
        key
        for keys in as_used(motley, config.override(changes), conditions.seed(0)).class_keys().values()
        for key in keys
    }
    shown = {name for event in events if isinstance(event, Images) for name in event.names}
    assert shown and shown <= used, "here a class's key is its name"


@pytest.mark.parametrize("learner", ["maml", "protonet"])
@pytest.mark.parametrize("name", ["free", "teapot", "tgr", "bidf-mkd"])
def test_a_teacher_of_fewer_classes_than_a_task_teaches_what_it_knows(name, learner, run, tmp_path):
    zoo = motley_zoo(tmp_path / "zoo", ["three", "grey"])
    changes = {"learner": learner, "iterations": 4, "init": "random"}
    method, config = small(name, **{k: v for k, v in changes.items() if k in METHODS.get(name).Config.model_fields})
    events = run(method, config, zoo=zoo, data=None)
    assert events[-1].result.details["taking_part"]["taking_part"] == 2
    assert all(p.isfinite().all() for p in events[-1].result.params.values())
