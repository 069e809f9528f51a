"""Folders and zips of class folders: paths are only names, and sizes and counts are not believed."""

import io
import struct
import zipfile

import pytest

from dfml.core.errors import BadInput
from dfml.data import class_archive
from dfml.data.class_archive import open_zip, sort_paths


def packed(files, kind=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_folders_tell_the_class_and_which_pictures_are_to_be_classified():
    paths = ["pets/dog/2.png", "pets/cat/1.PNG", "pets/query/cat/9.jpg", "query/8.webp", "loose.png", "a\\owl\\1.png"]
    paths += ["pets/cat/notes.txt", "__MACOSX/cat/._1.png", "pets/cat/.hidden.png", "../../etc/x.png", "/abs/y.png"]
    found = sort_paths((path, bytes) for path in paths)
    assert {(one.label, one.name, one.query) for one in found.pictures} == {
        ("dog", "2.png", False), ("cat", "1.PNG", False), ("cat", "9.jpg", True), ("", "8.webp", True),
        ("", "loose.png", False), ("owl", "1.png", False), ("etc", "x.png", False), ("abs", "y.png", False),
    }  # fmt: skip
    (line,) = found.skipped
    assert line.startswith("1 ") and "notes.txt" in line


def test_a_zip_is_read_picture_by_picture():
    found = open_zip(packed({"z/cat/b.png": b"two", "z/cat/a.png": b"one", "z/": b""}), "z.zip")
    assert [(one.label, one.name, one.read()) for one in found.pictures] == [
        ("cat", "a.png", b"one"), ("cat", "b.png", b"two"),
    ]  # fmt: skip
    assert found.skipped == []


CUT = packed({"a/b.png": b"x" * 99})[:60]


@pytest.mark.parametrize("content", [b"", b"no zip", CUT], ids=["empty", "other", "cut"])
def test_what_is_no_zip_is_one_line(content):
    with pytest.raises(BadInput, match=r"mine\.zip"):
        open_zip(content, "mine.zip")


def test_too_many_entries_are_refused_before_they_are_listed(monkeypatch):
    monkeypatch.setattr(class_archive, "MAX_ENTRIES", 3)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("they are listed"))
    content = b"PK\x01\x02" * 4
    with pytest.raises(BadInput, match="3 entries"):
        open_zip(content, "many.zip")


def test_a_bomb_unpacks_no_more_than_the_bound_whatever_it_claims(monkeypatch):
    monkeypatch.setattr(class_archive, "MAX_BYTES", 1000)
    monkeypatch.setattr(class_archive, "MAX_TOTAL", 1500)
    whole = packed({"c/large.png": bytes(5000), "c/a.png": bytes(900), "c/b.png": bytes(900), "c/c.png": bytes(400)})
    found = open_zip(whole, "z.zip")
    assert "large.png" in found.skipped[0]
    first, second, third = found.pictures
    assert len(first.read()) == 900 and len(third.read()) == 400
    with pytest.raises(BadInput, match=r"b\.png"):
        second.read()
    # The same, from an entry that lies about its size in both of its headers.
    lying = packed({"c/x.png": bytes(5000)}).replace(struct.pack("<I", 5000), struct.pack("<I", 500))
    (one,) = open_zip(lying, "z.zip").pictures
    with pytest.raises(BadInput, match=r"x\.png"):
        one.read()


def test_what_cannot_be_unpacked_within_bounds_is_passed_over():
    found = open_zip(packed({"c/x.png": b"1"}, zipfile.ZIP_LZMA), "z.zip")
    assert not found.pictures and "x.png" in found.skipped[0]
    locked = bytearray(packed({"c/x.png": b"1"}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    found = open_zip(bytes(locked), "z.zip")
    assert not found.pictures and "password" in found.skipped[0]
