from threading import Event, Thread

import pytest

from dfml.core.errors import BadInput
from dfml.zoo import open_zoo
from dfml.zoo.importing import importer
from dfml.zoo.importing.importer import import_models
from dfml.zoo.importing.stating import Stated
from tests.motley import save_teacher
from tests.zoo.test_storage import saved


def test_folders_are_copied_after_loading_and_a_zoo_grows(tmp_path):
    for name in ("a", "b", "judges"):
        saved(tmp_path / "models" / name)
    (tmp_path / "models" / "junk").mkdir()
    models = tmp_path / "models"
    found = import_models([models / "a"], tmp_path / "zoo", Stated(domain="mine"))
    assert found.added == ["a"] and found.problems == []
    found = import_models([models / n for n in ("a", "b", "junk", "judges")], tmp_path / "zoo")
    assert found.added == ["b"] and len(found.problems) == 3
    zoo = open_zoo(tmp_path / "zoo")
    assert zoo.ids == ["a", "b"] and zoo.domain == "mine"
    assert zoo.teacher("b").way == 5


def test_the_folder_that_one_stands_in_has_a_name_too(tmp_path, monkeypatch):
    from pathlib import Path

    saved(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert import_models([Path(".")], tmp_path / "zoo").added == ["mine"]
    assert open_zoo(tmp_path / "zoo").ids == ["mine"]


def test_what_lies_in_the_zoo_already_is_left_alone_and_named(tmp_path):
    for name in ("a", "b"):
        saved(tmp_path / "models" / name)
    import_models([tmp_path / "models" / "a"], tmp_path / "zoo")
    (tmp_path / "zoo" / "b").mkdir()
    (tmp_path / "zoo" / "b" / "precious.txt").write_text("x")
    found = import_models([tmp_path / "models" / "b"], tmp_path / "zoo")
    assert found.added == [] and "is there already" in found.problems[0]
    assert [p.name for p in (tmp_path / "zoo" / "b").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("there", [[], ["old"]])
def test_an_import_that_was_cut_off_before_the_zoo_lists_its_teachers_is_done_again(tmp_path, monkeypatch, there):
    for name in ("old", "a", "b", "c"):
        saved(tmp_path / "models" / name)
    models, zoo = tmp_path / "models", tmp_path / "zoo"
    if there:
        import_models([models / name for name in there], zoo)
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(importer, "write_zoo", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        import_models([models / "a", models / "b"], zoo)
    (zoo / "b" / "dfml.json").write_text('{"seed": 5}')
    if there:
        assert open_zoo(zoo).ids == there
    found = import_models([models / name for name in "abc"], zoo)
    assert found.added == ["a", "c"] and open_zoo(zoo).ids == [*there, "a", "c"]
    assert len(found.problems) == 1 and str(zoo / "b") in found.problems[0]
    assert len([note for note in found.notes if note.startswith(str(models / "a"))]) == 1
    assert [str(zoo) in note for note in found.notes].count(True) == (not there)
    assert (zoo / "b" / "dfml.json").read_text() == '{"seed": 5}'


@pytest.mark.parametrize("content", ["[]", '{"models": 5}', "{"])
def test_a_foreign_zoo_file_is_one_clear_line(tmp_path, content):
    saved(tmp_path / "a")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "zoo.json").write_text(content)
    with pytest.raises(BadInput, match="lists no models|no valid JSON"):
        import_models([tmp_path / "a"], tmp_path / "zoo")


def test_domain_and_shared_names_are_kept_for_each_teacher(tmp_path):
    for name in "abcd":
        saved(tmp_path / name)
    for name, stated in [
        ("a", Stated(domain="birds", shared_class_names=True)),
        ("b", Stated(domain="cars", shared_class_names=True)),
        ("c", Stated()),
        ("d", Stated(domain="birds", shared_class_names=True)),
    ]:
        names = stated.model_copy(update={"classes": list("vwxyz")})
        assert import_models([(tmp_path / name, names)], tmp_path / "zoo").problems == []
        zoo = open_zoo(tmp_path / "zoo")
        assert (zoo.domain, zoo.name_spaces is None) == (("birds", True) if name == "a" else (None, False))
    keys = [set(keys) for keys in zoo.class_keys().values()]
    assert keys[0] == keys[3] and not keys[0] & keys[1] and not keys[2] & (keys[0] | keys[1])
    assert [card.domain for card in zoo.cards] == ["birds", "cars", None, "birds"]


def test_two_imports_at_once_lose_nobody(tmp_path):
    """Both read the zoo's list and write it: the second waits for the first, or it would write the older list."""
    out, inside, first_done = tmp_path / "zoo", Event(), Event()
    for name in ("one", "two"):
        save_teacher(tmp_path / name, "fewshot_conv4", 3, width=4)

    def second():
        import_models([tmp_path / "two"], out, report=lambda *_: (inside.set(), first_done.wait(10)))

    thread = Thread(target=second)

    def meanwhile(*_told):
        thread.start()
        inside.wait(1)

    import_models([tmp_path / "one"], out, report=meanwhile)
    first_done.set()
    thread.join()
    assert open_zoo(out).ids == ["one", "two"]
