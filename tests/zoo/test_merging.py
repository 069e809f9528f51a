import json
import shutil

import pytest
from safetensors import SafetensorError

from dfml.core.errors import BadInput, RunFailed
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import merge_zoos, new_zoo


def renamed(folder, target, **meta):
    """A copy of a zoo with another name, domain, or word on its class names."""
    shutil.copytree(folder, target)
    path = target / "zoo.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **meta}))
    return open_zoo(target)


def test_zoos_of_one_data_set_keep_their_classes_together(tiny_zoo_folder, tmp_path):
    zoos = [renamed(tiny_zoo_folder, tmp_path / name, name=name) for name in ("a", "b")]
    models, problems = merge_zoos(zoos, tmp_path / "both", name="pair")
    zoo = open_zoo(tmp_path / "both")
    assert (zoo.name, zoo.domain, zoo.name_spaces, problems) == ("pair", "patterns", None, [])
    assert zoo.ids == models == [f"{name}-{i:03d}" for name in "ab" for i in range(3)]
    assert zoo.card("a-001").classes == zoo.card("b-001").classes == zoos[0].card("001").classes
    assert zoo.class_keys()["a-001"] == zoo.class_keys()["b-001"] == zoos[0].class_keys()["001"]
    assert len(zoo.check()) == 6


def test_ids_that_would_meet_are_told_apart(tiny_zoo_folder, tmp_path):
    one = renamed(tiny_zoo_folder, tmp_path / "one", name="a")
    shutil.move(one.folder / "000", one.folder / "b-000")
    one = renamed(one.folder, tmp_path / "first", models=["b-000"])
    other = renamed(tiny_zoo_folder, tmp_path / "other", name="a-b", models=["000"])
    models, _ = merge_zoos([one, other], tmp_path / "both")
    assert models == ["a-b-000", "a-b-000-2"] and open_zoo(tmp_path / "both").ids == models


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(RunFailed, match="no space left while writing zoo"), new_zoo(tmp_path / "zoo"):
        raise SafetensorError("I/O error: No space left on device (os error 28)")
    assert not any(tmp_path.iterdir())


def test_equal_names_of_different_data_sets_stay_apart(tiny_zoo_folder, tmp_path):
    zoos = [renamed(tiny_zoo_folder, tmp_path / name, name=name, domain=name) for name in ("birds", "machines")]
    merge_zoos(zoos, tmp_path / "both")
    zoo = open_zoo(tmp_path / "both")
    name = zoos[0].card(0).classes[0]
    assert zoo.name == "both" and zoo.domain is None
    assert zoo.class_keys()["birds-000"][0] == f"birds/{name}"
    assert zoo.class_keys()["machines-000"][0] == f"machines/{name}"
    assert zoo.card("birds-000").classes[0] == name, "cards are left as they are"
    third = renamed(tiny_zoo_folder, tmp_path / "more", name="more", domain="birds")
    merge_zoos([zoo, third], tmp_path / "all")
    keys = open_zoo(tmp_path / "all").class_keys()
    assert keys["more-000"] == keys["both-birds-000"] != keys["both-machines-000"]


def test_names_that_nobody_vouches_for_identify_nothing(tiny_zoo_folder, tmp_path):
    vouched = renamed(tiny_zoo_folder, tmp_path / "a", name="a")
    other = renamed(tiny_zoo_folder, tmp_path / "b", name="b", shared_class_names=False)
    merge_zoos([vouched, other], tmp_path / "both")
    keys = open_zoo(tmp_path / "both").class_keys()
    assert keys["b-000"] == [f"b-000:{slot}" for slot in range(5)]
    assert keys["a-000"] == [f"patterns/{name}" for name in vouched.card(0).classes]
    merge_zoos([other, renamed(tiny_zoo_folder, tmp_path / "c", name="c", shared_class_names=False)], tmp_path / "none")
    assert not open_zoo(tmp_path / "none").shared_class_names


def test_zoos_without_a_domain_do_not_share_names(tiny_zoo_folder, tmp_path):
    zoos = [renamed(tiny_zoo_folder, tmp_path / name / "zoo", name="zoo", domain=None) for name in ("one", "two")]
    merge_zoos(zoos, tmp_path / "both")
    zoo = open_zoo(tmp_path / "both")
    assert zoo.ids[0] == "zoo-000" and zoo.ids[3] == "zoo-2-000"
    first, second = (set(zoo.class_keys()[i]) for i in ("zoo-000", "zoo-2-000"))
    assert not first & second


def test_grey_and_colour_meet_in_colour(tiny_zoo, tmp_path):
    omniglot = open_zoo("omniglot-conv4")
    merge_zoos([tiny_zoo, omniglot], tmp_path / "both")
    zoo = open_zoo(tmp_path / "both")
    assert zoo.picture_shape == (3, 28, 28), "in the size of most"
    assert len(zoo) == 3 + len(omniglot)
    assert zoo.class_key(zoo.card("omniglot-conv4-000"), 0).startswith("omniglot/")


def test_judges_come_along_and_odd_names_stay_inside(tiny_zoo_folder, tmp_path):
    odd = renamed(tiny_zoo_folder, tmp_path / "a", name="../../x y")
    shutil.copytree(tmp_path / "a" / "001", tmp_path / "a" / "judges" / "000")
    (tmp_path / "a" / "002" / "model.safetensors").write_bytes(b"no weights")
    models, problems = merge_zoos([odd, renamed(tiny_zoo_folder, tmp_path / "b", name="b")], tmp_path / "both")
    zoo = open_zoo(tmp_path / "both")
    assert models[:2] == ["x-y-000", "x-y-001"] and len(zoo) == 5
    assert len(problems) == 1 and "damaged" in problems[0]
    assert zoo.has_judge("x-y-000") and not zoo.has_judge("b-000")


def test_what_cannot_be_merged_gives_one_line_and_leaves_nothing(tiny_zoo, tiny_zoo_folder, tmp_path):
    other = renamed(tiny_zoo_folder, tmp_path / "other", name="other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x")
    for zoos, out, says in (
        ([tiny_zoo], "new", "at least two"),
        ([tiny_zoo, open_zoo(tiny_zoo_folder)], "new", "given twice"),
        ([tiny_zoo, other], "full", "is there already"),
        ([tiny_zoo, other], "other/zoo.json", "is there already"),
        ([tiny_zoo, other], "full/letter.txt/zoo", "a file is in the way"),
    ):
        with pytest.raises(BadInput, match=says) as caught:
            merge_zoos(zoos, tmp_path / out)
        assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "other"]


def test_the_command_line(tiny_zoo_folder, tmp_path):
    from typer.testing import CliRunner

    from dfml.cli import app

    words = ["zoo", "merge", str(tiny_zoo_folder), "omniglot-conv4", "--out", str(tmp_path / "zoo"), "--name", "mixed"]
    called = CliRunner().invoke(app, [*words, "--json"])
    told = json.loads(called.stdout.splitlines()[-1])
    assert told["teachers"] == 33 and told["problems"] == []
    assert open_zoo(told["zoo"]).name == "mixed"
