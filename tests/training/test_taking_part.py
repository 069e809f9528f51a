"""Who of a zoo takes part is told at the start, kept with the model, and true."""

import json
import shutil

import pytest

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Note
from dfml.methods import METHODS
from dfml.training.options import MetaTrainingConfig
from dfml.training.taking_part import ALL, SOME, TakingPart
from dfml.zoo import open_zoo
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import write_zoo
from tests.methods.small import small
from tests.zoo.test_storage import edit, saved


@pytest.fixture(scope="module")
def mixed_ways(tiny_zoo_folder, tmp_path_factory):
    """Two teachers of five classes, one of three, one without a mean, and one with damaged weights."""
    folder = tmp_path_factory.mktemp("ways") / "zoo"
    for name, source in (("a", "000"), ("b", "001"), ("no-mean", "000"), ("damaged", "001")):
        shutil.copytree(tiny_zoo_folder / source, folder / name)
    saved(folder / "three", num_classes=3)
    edit(folder / "no-mean" / "config.json", lambda c: c["pretrained_cfg"].pop("mean"))
    (folder / "damaged" / "model.safetensors").write_bytes(b"junk")
    write_zoo(folder, models=["a", "three", "no-mean", "b", "damaged"])
    return folder


def told_of(events):
    """The summary in the model's details, and the ids that it calls left out."""
    told = events[-1].result.details["taking_part"]
    return told, {teacher for row in told["left_out"] for teacher in row["ids"]}


@pytest.mark.parametrize("name", list(METHODS))
def test_whoever_does_not_take_part_is_named(name, run, mixed_ways, monkeypatch):
    asked, logits = set(), Teacher.logits

    def spied(teacher, x):
        asked.add(teacher.card.id)
        return logits(teacher, x)

    monkeypatch.setattr(Teacher, "logits", spied)
    monkeypatch.setattr(Teacher, "forward", spied)
    long = issubclass(METHODS.get(name).Config, MetaTrainingConfig)
    events = run(*small(name, **({"iterations": 3} if long else {})), zoo=open_zoo(mixed_ways))
    if not METHODS.get(name).asks_teachers:
        assert "taking_part" not in events[-1].result.details
        return
    told, left_out = told_of(events)
    everybody, expected = {"a", "three", "no-mean", "b", "damaged"}, {"no-mean", "damaged"}
    if name == "best-teacher":  # compares reports; only the best one's weights are read
        expected = {"no-mean", "three"}
    if name == "distill-one":  # the seed draws one of those that can be used
        (drawn,) = everybody - left_out
        assert drawn not in expected
        expected = everybody - {drawn}
    assert left_out == expected and told["of"] == 5 and told["taking_part"] == 5 - len(left_out)
    assert not asked & left_out
    if name == "distill":
        assert asked >= everybody - left_out
    notes = [e for e in events if isinstance(e, Note) and e.kind in (ALL, SOME)]
    assert len(notes) == 1 and notes[0].kind == SOME
    assert all(teacher in notes[0].text for teacher in left_out)
    assert json.loads(json.dumps(told)) == told


def test_an_option_that_limits_the_teachers_is_the_reason(run, tiny_zoo):
    told, left_out = told_of(run(*small("bidf-mkd", iterations=4, apis=1), zoo=tiny_zoo))
    assert left_out == {"001", "002"} and "apis" in told["left_out"][0]["reason"]


def test_who_keeps_back_its_weights_is_no_part_of_an_average(run, zoo_copy):
    edit(zoo_copy / "001" / "dfml.json", lambda card: card.update(access="queries"))
    told, left_out = told_of(run(*small("average"), zoo=open_zoo(zoo_copy)))
    assert left_out == {"001"} and "queries" in told["left_out"][0]["reason"]


def test_the_best_teacher_is_chosen_among_those_that_report(run, zoo_copy):
    edit(zoo_copy / "002" / "dfml.json", lambda card: card.pop("accuracy"))
    told, left_out = told_of(run(*small("best-teacher"), zoo=open_zoo(zoo_copy)))
    assert left_out == {"002"} and "accuracy" in told["left_out"][0]["reason"]


def test_who_was_missed_before_a_stop_is_named_after_it(run, zoo_copy):
    """Online, each teacher comes once: one that could not be read then is not looked at again."""
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"junk")
    whole = run(*small("dro", mode="online"), zoo=open_zoo(zoo_copy))
    middle = next(e for e in whole if isinstance(e, Checkpoint) and e.step == 2)
    rest = run(*small("dro", mode="online"), zoo=open_zoo(zoo_copy), state=middle.state)
    assert told_of(rest) == told_of(whole) and told_of(rest)[1] == {"001"}
    assert [e.kind for e in whole if isinstance(e, Note) and e.kind in (ALL, SOME)] == [ALL, SOME]
    older = {key: value for key, value in middle.state.items() if not key.startswith("missed")}
    run(*small("dro", mode="online"), zoo=open_zoo(zoo_copy), state=older)


def test_many_ids_are_counted_in_the_note_and_all_kept():
    ids = [f"t{number:02d}" for number in range(12)]
    part = TakingPart(["x"], dict.fromkeys(ids, "3 classes") | {"odd\n" + "y" * 90: "cannot be used"})
    text = part.note().text
    assert text.startswith("1 of 14") and "t04 and 7 more" in text and "t05" not in text
    assert "\n" not in text and len(text) < 200
    assert part.details()["taking_part"]["left_out"][0]["ids"] == ids


@pytest.mark.parametrize("name", ["free", "tgr", "teapot", "bidf-mkd", "purer"])
def test_a_zoo_with_fewer_classes_than_a_task_is_refused(name, tiny_zoo):
    method = METHODS.get(name)
    with pytest.raises(BadInput, match="set way"):
        method.check_zoo(tiny_zoo, method.preset("demo").override({"way": 40}))


def test_preparing_names_them_too(tiny_zoo, mixed_ways):
    import torch

    method, config = small("tgr", recovered="kept", visits=1, embed_visits=1)
    stream = method(config).prepare(open_zoo(mixed_ways), device=torch.device("cpu"))
    note = next(event for event in stream if isinstance(event, Note))
    stream.close()
    assert note.kind == SOME and "damaged" in note.text
