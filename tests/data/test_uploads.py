import errno
import io
import os
import shutil

import pytest
import torch
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.class_folders import base_name, read_query_folder, read_support_folder
from dfml.data.folders import load_split


def png(colour="red", size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_good_files_are_kept_and_each_bad_one_is_named(tmp_path):
    files = [
        ("a.png", png("red")),
        ("b.png", b"I am text"),
        ("c.png", b""),
        ("d.png", png("blue")[:60]),
        ("e.png", png("blue")),
    ]
    for name, content in files:
        (tmp_path / name).write_bytes(content)
    pictures, names, problems = read_query_folder(tmp_path, size=32, channels=3)
    assert pictures.shape == (2, 3, 32, 32)
    assert pictures.dtype == torch.float32
    assert pictures[0, :, 5, 5].tolist() == [1, 0, 0]
    assert pictures[1, :, 5, 5].tolist() == [0, 0, 1]
    assert names == ["a.png", "e.png"]
    assert [line.split(":")[0] for line in problems] == ["b.png", "c.png", "d.png"]


def test_the_number_of_files_is_capped(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(png())
    pictures, names, problems = read_query_folder(tmp_path, size=16, channels=1, max_files=5)
    assert pictures.shape == (5, 1, 16, 16)
    assert names[-1] == "4.png"
    assert problems == ["7 images found, the first 5 are read."]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("cat\n<b>.png", "cat<b>.png"),
        ("../", ".."),
        ("", "unnamed"),
        ("\x00", "unnamed"),
        ("x" * 500, "x" * 100),
        ("Кот 😺.png", "Кот 😺.png"),
    ],
)
def test_names_lose_their_folders(name, shown):
    assert base_name(name) == shown


@pytest.fixture
def support(patterns, tmp_path):
    return shutil.copytree(patterns / "test", tmp_path / "support", ignore=shutil.ignore_patterns(".dfml-cache"))


def test_a_support_folder_is_sorted_by_class(support, patterns):
    read = read_support_folder(support, size=32, channels=3)
    assert read.class_names == [f"kind{n}" for n in range(13, 19)]
    assert read.pictures.shape == (6 * 24, 3, 32, 32)
    assert read.labels.tolist() == sorted(list(range(6)) * 24)
    assert read.names[24] == "kind14/00000.png"
    assert not read.problems
    assert torch.equal(read.pictures[24], load_split(patterns, "test").pictures([24])[0]), "same pixels as a data set"


def test_a_bad_support_picture_costs_only_itself(support):
    (support / "kind13" / "00000.png").write_text("text")
    read = read_support_folder(support, size=32, channels=3)
    assert len(read.labels) == 6 * 24 - 1
    assert len(read.problems) == 1
    assert read.problems[0].startswith("kind13/00000.png: not a PNG")


def test_a_class_without_a_good_picture_is_left_out(support):
    for path in (support / "kind13").iterdir():
        path.write_text("text")
    read = read_support_folder(support, size=16, channels=1)
    assert read.class_names == [f"kind{n}" for n in range(14, 19)]
    assert set(read.labels.tolist()) == set(range(5))


def test_unusable_support_folders_give_one_line(tmp_path):
    with pytest.raises(BadInput, match="no support set at"):
        read_support_folder(tmp_path / "none", size=32, channels=3)
    with pytest.raises(BadInput, match="has 0 class folders"):
        read_support_folder(tmp_path, size=32, channels=3)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(png())
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.png").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"has 1 class folders .* First problem: dog/a.png"):
        read_support_folder(tmp_path, size=32, channels=3)


def lock(monkeypatch, locked):
    """Let nobody list a folder. Not by the file's mode: the administrator may read everything."""
    scandir = os.scandir

    def guarded(path):
        if os.path.samefile(path, locked):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)


@pytest.mark.parametrize("read", [read_support_folder, read_query_folder])
def test_folders_that_may_not_be_read_give_one_line(support, monkeypatch, read):
    lock(monkeypatch, support)
    with pytest.raises(BadInput, match="may not be read: Permission denied") as failure:
        read(support, size=16, channels=3)
    assert str(support) in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize("read", [read_support_folder, read_query_folder])
def test_a_locked_folder_among_the_classes_costs_only_itself(support, monkeypatch, read):
    lock(monkeypatch, support / "kind14")
    found = read(support, size=16, channels=3)
    names, problems = (found.names, found.problems) if read is read_support_folder else found[1:]
    assert len(names) == 5 * 24
    assert len(problems) == 1 and problems[0].endswith("kind14 (Permission denied)")


def test_queries_may_lie_flat_or_in_folders(support, tmp_path):
    (support / "loose.png").write_bytes(png())
    (support / "bad.png").write_bytes(b"x")
    pictures, names, problems = read_query_folder(support, size=32, channels=3, max_files=10)
    assert len(pictures) == len(names) == 9
    assert names[:2] == ["loose.png", "kind13/00000.png"]
    assert problems[0].startswith("bad.png: ")
    assert problems[1] == "146 images found, the first 10 are read."
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no usable"):
        read_query_folder(tmp_path / "empty", size=32, channels=3)
