import io
import re
from types import SimpleNamespace

import pytest
import streamlit as st
from PIL import Image
from streamlit.runtime.uploaded_file_manager import DeletedFile

from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY
from dfml.data.class_archive import sort_paths
from dfml.ui.adaptation import boxes as picture_boxes
from dfml.ui.adaptation import uploads
from dfml.ui.adaptation.uploads import QUERY, UploadSet, is_token, new_token


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


def test_of_a_moving_picture_the_first_frame_is_taken_and_it_is_said(store):
    buffer, blue = io.BytesIO(), Image.new("RGB", (16, 16), "blue")
    Image.new("RGB", (16, 16), "red").save(buffer, "GIF", save_all=True, append_images=[blue])
    (problem,) = store.add(0, [("cat.gif", buffer.getvalue()), ("still.gif", png(kind="GIF"))])
    assert problem.startswith("cat.gif: ") and "first" in problem
    first, _ = store.pictures(0)
    with Image.open(first) as picture:
        assert picture.convert("RGB").getpixel((8, 8)) == (255, 0, 0)


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


class Boxes:
    """The page's uploaders, whose callbacks a test calls itself: as often as it likes, also those of earlier draws."""

    NAMES = {0: "class 1", 1: "class 2", QUERY: "the query set"}

    def __init__(self, store, monkeypatch):
        self.store, self.now, self.every = store, {}, []
        monkeypatch.setattr(st, "session_state", {})
        monkeypatch.setattr(st, "file_uploader", self.uploader)
        monkeypatch.setattr(picture_boxes, "shelf", lambda *_, **__: None)
        self.draw()

    def uploader(self, label, *_, key, on_change, **__):
        self.now[label] = key, on_change
        self.every.append((key, on_change))

    def draw(self):
        for slot, name in self.NAMES.items():
            picture_boxes.inbox(self.store, slot, name)

    def give(self, slot, files):
        key, on_change = self.now[f"Images of {self.NAMES[slot]}"]
        st.session_state[key] = [*st.session_state.get(key, []), *files]
        on_change()
        self.draw()

    def report_again(self):
        for key, on_change in list(self.every):
            if key in st.session_state:
                on_change()
        self.draw()


def upload(name, content=None):
    content = png() if content is None else content
    return SimpleNamespace(file_id=f"id of {name}", name=name, size=len(content), getvalue=lambda: content)


def test_an_uploader_that_reports_the_same_files_again_adds_nothing(store, monkeypatch):
    boxes, expected = Boxes(store, monkeypatch), {0: "", 1: "", QUERY: ""}
    for slot, names in ((0, "abc"), (1, "def"), (QUERY, "ghi"), (0, "j"), (1, "kl")):
        boxes.give(slot, [upload(name) for name in names])
        expected[slot] += names
        for _ in range(2):
            boxes.report_again()
            stored = {each: "".join(path.stem[5:] for path in store.pictures(each)) for each in expected}
            assert stored == expected, "each once, in the order of the uploads"


def test_the_lines_of_an_upload_outlive_a_second_report(store, monkeypatch):
    boxes, told = Boxes(store, monkeypatch), []
    boxes.give(0, [upload("notes.txt", b"text"), upload("a.png"), DeletedFile("gone")])
    monkeypatch.setattr(st, "error", lambda line, **_: told.append(line))
    boxes.report_again()
    assert len(told) == 2 and "lost" in told[0] and told[1].startswith("notes")


def test_a_file_that_is_too_large_is_refused_unread(store, monkeypatch):
    def unread():
        raise AssertionError("it was read")

    boxes, told, large = Boxes(store, monkeypatch), [], 20 * 2**20 + 1
    boxes.give(0, [SimpleNamespace(file_id="large", name="l.png", size=large, getvalue=unread), upload("a.png")])
    monkeypatch.setattr(st, "error", lambda line, **_: told.append(line))
    boxes.draw()
    assert len(told) == 1 and told[0].startswith("l.png") and len(store.pictures(0)) == 1


def test_all_files_come_in_through_one_place_which_looks_at_their_size():
    marks = re.compile(r"\.(file_uploader|camera_input|audio_input|chat_input)\(")
    files = [path for folder in ("dfml", "pages") for path in (REPOSITORY / folder).rglob("*.py")]
    found = [path for path in files if marks.search(path.read_text(encoding="utf-8"))]
    assert [path.name for path in found] == ["uploaders.py"]
    larger = [path for path in files if "megabytes=" in path.read_text(encoding="utf-8") and path not in found]
    assert [path.name for path in larger] == ["add_teachers.py"], "weights alone may be larger"


def test_a_picture_that_is_chosen_again_on_purpose_is_kept(store):
    seen = set()
    first, second = (SimpleNamespace(file_id=name, name="a.png", getvalue=png) for name in ("one", "two"))
    assert store.take(0, [first], seen) == []
    assert store.take(0, [first, second], seen) == []
    assert store.take(0, [first, second], seen) is None
    assert len(store.pictures(0)) == 2


def handed(*paths):
    return sort_paths((path, lambda path=path: png(colour="red" if "cat" in path else "blue")) for path in paths)


def test_a_folder_fills_the_boxes_of_its_classes_and_makes_new_ones(store):
    lines = store.add_sorted(
        handed(
            "z/cat/1.png",
            "z/cat/2.png",
            "z/sea_lion/1.png",
            "z/owl/1.png",
            "z/query/owl/9.png",
            "z/query/8.png",
            "0.png",
        )
    )
    assert store.names() == ["cat", "owl", "sea lion"], "the first two take the boxes that nobody used"
    assert [len(store.pictures(slot)) for slot in (0, 1, 2, QUERY)] == [2, 1, 1, 2]
    assert list(store.truths().values()) == ["owl"] and len(lines) == 1 and "0.png" in lines[0]
    assert store.add_sorted(handed("cat/3.png", "owl/4.png"), queries=True) == []
    assert sorted(store.truths().values()) == ["cat", "owl", "owl"] and len(store.pictures(0)) == 2
    store.rename(1, "eagle owl")
    assert sorted(store.truths().values()) == ["cat", "eagle owl", "eagle owl"]
    store.drop_class(1)
    assert list(store.truths().values()) == ["cat"] and store.names() == ["cat", "sea lion"]


def test_of_a_folder_with_too_much_the_rest_is_named_and_not_read(store, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_PICTURES", 2)
    monkeypatch.setattr(uploads, "MAX_CLASSES", 3)
    lines = store.add_sorted(handed(*(f"{name}/{i}.png" for name in "abcd" for i in range(4))))
    assert store.names() == ["a", "b", "c"] and [len(store.pictures(slot)) for slot in range(3)] == [2, 2, 2]
    assert sum("3.png" in line or "2.png" in line for line in lines) == 3 and any(
        line.startswith("d:") for line in lines
    )


def test_a_picture_that_is_removed_takes_no_other_with_it(store):
    store.add(0, [("a.png", png()), ("b.png", png())])
    first, second = store.pictures(0)
    store.remove(0, first.name)
    store.remove(0, "../../names.json")
    store.add(0, [("b.png", png())])
    assert [path.name for path in store.pictures(0)] == [second.name, "0100-b.png"]
    store.add(QUERY, [("q.png", png())])
    (query,) = store.pictures(QUERY)
    store.tell(query.name, "cat")
    store.remove(QUERY, query.name)
    assert store.truths() == {}


def test_hundreds_of_rounds_stay_in_order(store):
    store.add(0, [("a.png", png())])
    (only,) = store.pictures(0)
    only.rename(only.with_name("9900-a.png"))
    store.add(0, [("b.png", png())])
    assert [path.name for path in store.pictures(0)] == ["9900-a.png", "10000-b.png"]


def test_a_class_field_that_has_left_the_page_renames_nothing(store, monkeypatch):
    told = []
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(st, "file_uploader", lambda *_, **__: None)
    monkeypatch.setattr(st, "text_input", lambda *_, key, on_change, **__: told.append((key, on_change)))
    names = store.names()
    picture_boxes._class_cell(store, names, 0, names[0])
    key, renamed = told[0]
    st.session_state[key] = "cat"
    renamed()
    assert store.names()[0] == "cat"
    st.session_state[key] = "class 1"
    renamed()
    assert store.names()[0] == "cat", "the same field, told of once more by a browser that was late"
