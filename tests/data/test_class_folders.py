"""Folders as people have them: other files, odd names, locked folders, links into a store, and one rule for all."""

import errno
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data import folders
from dfml.data.class_folders import read_query_folder, read_support_folder
from dfml.data.folders import fingerprint, load_split
from dfml.data.pictures import ENDINGS, KINDS

NFC = "caf\u00e9"
NFD = unicodedata.normalize("NFD", NFC)


def picture(path, colour="red", size=(24, 24), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".tif": "TIFF", ".jfif": "JPEG", ".bmp": "BMP", ".gif": "GIF"}.get(path.suffix, "PNG")
    Image.new(mode, size, colour).save(path, kind)


def two_classes(root):
    for name in ("cat", "dog"):
        for number in range(2):
            picture(root / name / f"{number}.png")
    return root


def through_load_split(root):
    data = load_split(root, "all")
    return data.class_names, len(data.labels), [note.removeprefix("skipped ") for note in data.notes]


def through_the_support_set(root):
    found = read_support_folder(root, size=24, channels=3)
    return found.class_names, len(found.labels), found.problems


READERS = [through_load_split, through_the_support_set]


@pytest.mark.parametrize("read", READERS)
def test_pictures_of_other_endings_are_read(tmp_path, read):
    two_classes(tmp_path)
    for name in ("a.jfif", "b.JFIF", "c.bmp", "d.tif", "e.gif"):
        picture(tmp_path / "owl" / name)
    assert read(tmp_path) == (["cat", "dog", "owl"], 9, [])


@pytest.mark.parametrize("read", READERS)
def test_what_is_passed_over_is_counted_and_named(tmp_path, read):
    two_classes(tmp_path)
    for name in ("a.txt", "b.doc", "c.heic"):
        (tmp_path / "cat" / name).write_text("x")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "loop.png").symlink_to(tmp_path / "dog" / "loop.png")
    picture(tmp_path / "dog" / "more" / "0.png")
    picture(tmp_path / "loose.png")
    (tmp_path / "new").mkdir()
    names, count, notes = read(tmp_path)
    assert (names, count) == (["cat", "dog"], 4)
    text = "\n".join(notes)
    assert f"3 files that are no images ({KINDS} are read): cat/a.txt, cat/b.doc and 1 more" in text
    assert "cat/pipe.png, dog/gone.png and 1 more" in text
    assert "dog/more" in text and "loose.png" in text and "without images: new" in text
    assert all("\n" not in note for note in notes)


@pytest.mark.parametrize("read", READERS)
def test_what_systems_leave_behind_is_passed_over_quietly(tmp_path, read):
    two_classes(tmp_path)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / "cat" / name).write_text("x")
        (tmp_path / name).write_text("x")
    picture(tmp_path / "__MACOSX" / "cat" / "0.png")
    assert read(tmp_path) == (["cat", "dog"], 4, [])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("left", ["a.heic", "notes.txt", "gone.png"])
def test_a_class_that_became_empty_is_refused_by_its_name(tmp_path, read, left):
    two_classes(tmp_path)
    (tmp_path / "owl").mkdir()
    if left == "gone.png":
        (tmp_path / "owl" / left).symlink_to(tmp_path / "nowhere.png")
    else:
        (tmp_path / "owl" / left).write_text("x")
    with pytest.raises(BadInput, match=f"class 'owl' .*{left}") as failure:
        read(tmp_path)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("read", READERS)
def test_an_unreadable_folder_among_the_classes_is_skipped(tmp_path, monkeypatch, read):
    two_classes(tmp_path)
    (tmp_path / "lost+found").mkdir()
    scandir = os.scandir

    def guarded(path):
        # Not by the file's mode: the administrator may read everything.
        if os.path.basename(path) == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    names, count, notes = read(tmp_path)
    assert (names, count) == (["cat", "dog"], 4)
    assert len(notes) == 1 and "lost+found (Permission denied)" in notes[0]


@pytest.fixture
def cache_of_links(tmp_path):
    """Class folders of links into a store of files without endings, as downloads are cached."""
    root, blobs = tmp_path / "snapshots" / "1", tmp_path / "blobs"
    two_classes(tmp_path / "made")
    blobs.mkdir()
    for number, path in enumerate(sorted((tmp_path / "made").rglob("*.png"))):
        shutil.move(path, blobs / str(number))
        link = root / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    return root


@pytest.mark.parametrize("read", READERS)
def test_links_in_a_folder_that_a_user_names_are_followed(cache_of_links, tmp_path, read):
    (cache_of_links / "owl").symlink_to(cache_of_links / "cat")
    assert read(cache_of_links) == (["cat", "dog", "owl"], 6, [])
    assert len(read_query_folder(cache_of_links, size=24, channels=3)[1]) == 6


def test_names_in_two_ways_of_writing_give_the_same_order(tmp_path):
    for folder, form in (("a", NFC), ("b", NFD)):
        for name in ("cafz", form, "cafe"):
            picture(tmp_path / folder / name / "0.png")
    a, b = load_split(tmp_path / "a", "all"), load_split(tmp_path / "b", "all")
    assert a.class_names == ["cafe", "cafz", NFC] and b.class_names == ["cafe", "cafz", NFD], "as on the disk"


@pytest.mark.parametrize("read", READERS)
def test_class_folders_that_differ_only_in_writing_are_refused(tmp_path, read):
    two_classes(tmp_path)
    for name in (NFC, NFD):
        picture(tmp_path / name / "0.png")
    if len(os.listdir(tmp_path)) < 4:
        pytest.skip("this disk takes both for one name")
    with pytest.raises(BadInput, match=r"differ only .*'caf\\xe9'.*'cafe\\u0301'|'cafe\\u0301'.*'caf\\xe9'"):
        read(tmp_path)


@pytest.mark.parametrize("read", READERS)
def test_a_class_name_that_is_no_text_is_refused(tmp_path, read):
    two_classes(tmp_path)
    try:
        picture(tmp_path / os.fsdecode(b"caf\xe9") / "0.png")
    except OSError:
        pytest.skip("this disk takes no such name")
    with pytest.raises(BadInput, match="which is no text"):
        read(tmp_path)


def test_a_file_name_that_is_no_text_does_no_harm(tmp_path):
    two_classes(tmp_path)
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    try:
        with open(os.path.join(os.fsencode(tmp_path), b"cat", b"\xe9.gif"), "wb") as file:
            frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    except OSError:
        pytest.skip("this disk takes no such name")
    data = load_split(tmp_path, "all")
    assert len(data.labels) == 5 and "first" in data.notes[0]
    data.notes[0].encode()


def mixed(root, sizes, greys=()):
    for number, size in enumerate(sizes):
        picture(root / "cat" / f"{number}.png", 128 if number in greys else "red", (size, size + 3),
                "L" if number in greys else "RGB")  # fmt: skip
    picture(root / "dog" / "0.png", size=(sizes[-1], sizes[-1]))
    return root


@pytest.mark.parametrize("greys", [(0,), (0, 1, 2), (2,)])
def test_one_colour_picture_makes_the_set_colour_and_it_is_said(tmp_path, greys, caplog):
    with caplog.at_level(logging.WARNING):
        data = load_split(mixed(tmp_path, [32, 32, 32], greys), "all")
    assert data.channels == 3
    assert data.images[-1].reshape(-1, 3).mean(axis=0).tolist() == [255, 0, 0]
    grey = f"{len(greys)} grey picture{'s' * (len(greys) > 1)} of 4 widened"
    assert data.notes == (f"colour, 32 px; {grey}",)
    assert grey in caplog.text


@pytest.mark.parametrize(("sizes", "size"), [([64, 32, 32, 32], 32), ([500, 32, 32], 32), ([20, 40, 60], 40)])
def test_most_pictures_decide_the_size_not_the_first(tmp_path, sizes, size):
    data = load_split(mixed(tmp_path, sizes), "all")
    assert data.size == size
    assert f"sizes {min(sizes)} to {max(sizes)} resized to {data.size}" in data.notes[0]


def test_what_is_asked_for_is_not_decided(tmp_path):
    root = mixed(tmp_path, [64, 32, 32], greys=(0,))
    data = load_split(root, "all", size=16, channels=1)
    assert (data.size, data.channels, data.notes) == (16, 1, ())
    assert load_split(root, "all", size=16).notes == ("colour, 16 px; 1 grey picture of 4 widened",)


def test_headers_are_read_once_and_again_when_a_file_changes(tmp_path, monkeypatch):
    root, calls, survey = mixed(tmp_path, [32, 32], greys=(0,)), [], folders.survey
    monkeypatch.setattr(folders, "survey", lambda classes: calls.append(1) or survey(classes))
    first = load_split(root, "all")
    assert load_split(root, "all").notes == first.notes and len(calls) == 1
    picture(root / "cat" / "new.png", size=(20, 20))
    assert load_split(root, "all").notes != first.notes and len(calls) == 2


def test_sets_of_one_kind_are_packed_as_before(patterns, tmp_path):
    copy = shutil.copytree(patterns, tmp_path / "copy", ignore=shutil.ignore_patterns(".dfml-cache"))
    data = load_split(copy, "val")
    assert data.notes == ()
    files, digest = sorted((copy / "val").rglob("*.png")), hashlib.sha256(b"v2")
    for path in files:
        about = path.stat()
        digest.update(f"{path.parent.name}/{path.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    key = digest.hexdigest()[:24]
    assert fingerprint(copy, "val") == key
    assert (copy / ".dfml-cache" / f"val-32x3-{key}.npy").is_file(), "the name under which older versions packed it"
    expected = [np.asarray(Image.open(path)) for path in files]
    assert np.array_equal(data.images, expected)


def test_the_app_offers_what_folders_read():
    from dfml.ui.adaptation import choose_images as support_sets

    assert not hasattr(support_sets, "ENDINGS"), "one list of endings"
    assert ".jfif" in ENDINGS


def test_listing_needs_no_torch():
    code = "import sys, dfml.data.class_folders, dfml.data.pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
