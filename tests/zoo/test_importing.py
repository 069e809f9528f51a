import pytest

from dfml.core.errors import BadInput
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import import_folders
from tests.zoo.test_storage import saved


def test_folders_are_copied_after_loading_and_a_zoo_grows(tmp_path):
    for name in ("a", "b", "judges"):
        saved(tmp_path / "models" / name)
    (tmp_path / "models" / "junk").mkdir()
    models = tmp_path / "models"
    assert import_folders([models / "a"], tmp_path / "zoo", domain="mine") == (["a"], [])
    added, problems = import_folders([models / n for n in ("a", "b", "junk", "judges")], tmp_path / "zoo")
    assert added == ["b"] and len(problems) == 3
    zoo = open_zoo(tmp_path / "zoo")
    assert zoo.ids == ["a", "b"] and zoo.domain == "mine"
    assert zoo.teacher("b").way == 5


def test_the_folder_that_one_stands_in_has_a_name_too(tmp_path, monkeypatch):
    from pathlib import Path

    saved(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert import_folders([Path(".")], tmp_path / "zoo") == (["mine"], [])
    assert open_zoo(tmp_path / "zoo").ids == ["mine"]


def test_what_lies_in_the_zoo_already_is_left_alone_and_named(tmp_path):
    for name in ("a", "b"):
        saved(tmp_path / "models" / name)
    import_folders([tmp_path / "models" / "a"], tmp_path / "zoo")
    (tmp_path / "zoo" / "b").mkdir()
    (tmp_path / "zoo" / "b" / "precious.txt").write_text("x")
    added, problems = import_folders([tmp_path / "models" / "b"], tmp_path / "zoo")
    assert added == [] and "is there already" in problems[0]
    assert [p.name for p in (tmp_path / "zoo" / "b").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("content", ["[]", '{"models": 5}', "{"])
def test_a_foreign_zoo_file_is_one_clear_line(tmp_path, content):
    saved(tmp_path / "a")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "zoo.json").write_text(content)
    with pytest.raises(BadInput, match="lists no models|no valid JSON"):
        import_folders([tmp_path / "a"], tmp_path / "zoo")
