import io

import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.ui.upload_store import QUERY, UploadSet, is_token, new_token


def png(size=(40, 30), mode="RGB", colour="red", kind="PNG"):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_RUNS", str(tmp_path))
    return UploadSet(new_token())


def test_a_bad_file_costs_one_line_and_itself_only(store):
    files = [("cat.png", png()), ("notes.png", b"just text"), ("dog.jpg", png(kind="JPEG"))]
    problems = store.add(0, files)
    assert len(problems) == 1
    assert "notes.png" in problems[0]
    assert len(store.pictures(0)) == 2


def test_pictures_outlive_the_object_and_are_small_upright_rgb(store):
    store.add(QUERY, [("big.png", png((3000, 1000)))])
    again = UploadSet(store.token)
    with Image.open(again.pictures(QUERY)[0]) as picture:
        assert picture.size == (512, 171)
        assert picture.mode == "RGB"


def test_names_and_classes_move_together(store):
    store.write_names(["cat", "dog", "owl"])
    store.add(0, [("a.png", png())])
    store.add(2, [("c.png", png()), ("d.png", png())])
    store.drop_class(1)
    assert store.names() == ["cat", "owl"]
    assert [len(store.pictures(slot)) for slot in (0, 1)] == [1, 2]


def test_two_files_of_one_name_and_later_uploads_are_all_kept(store):
    store.add(0, [("a.png", png()), ("a.png", png())])
    store.add(0, [("a.png", png())])
    assert len(store.pictures(0)) == 3


def test_too_many_pictures_are_left_out_and_named(store):
    problems = store.add(0, [(f"{i}.png", png((8, 8))) for i in range(52)])
    assert len(store.pictures(0)) == 50
    assert len(problems) == 2


@pytest.mark.parametrize("text", ["../../etc", "", None, "abc", "A" * 12, "0" * 13])
def test_a_foreign_token_reaches_no_folder(text):
    assert not is_token(text)
    with pytest.raises(BadInput):
        _ = UploadSet(text or "").folder


def test_names_with_paths_stay_inside(store):
    store.add(0, [("../../../evil.png", png())])
    (picture,) = store.pictures(0)
    assert store.folder in picture.parents


def test_clear_and_forget(store):
    store.add(0, [("a.png", png())])
    store.clear(0)
    assert store.pictures(0) == []
    store.add(0, [("a.png", png())])
    store.forget()
    assert not store.folder.exists()
