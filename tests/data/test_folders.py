import errno
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from dfml.core.errors import BadInput, RunFailed
from dfml.data import folders
from dfml.data.folders import load_split
from dfml.data.splits import list_splits


@pytest.fixture
def copy(patterns, tmp_path):
    return shutil.copytree(patterns, tmp_path / "copy", ignore=shutil.ignore_patterns(".dfml-cache"))


def test_pixels_and_classes_come_through(patterns):
    data = load_split(patterns, "test")
    assert data.images.shape == (6 * 24, 32, 32, 3)
    assert data.images.dtype == np.uint8
    assert data.class_names == [f"kind{n}" for n in range(13, 19)]
    original = np.asarray(Image.open(patterns / "test" / "kind14" / "00003.png"))
    position = data.members[1][3]
    assert np.array_equal(data.images[position], original)
    x = data.pictures([position])
    assert x.shape == (1, 3, 32, 32)
    assert np.allclose(x[0].permute(1, 2, 0).numpy() * 255, original)
    assert data.pictures([]).shape == (0, 3, 32, 32)


def test_classes_are_sorted_whatever_the_disk_says(tmp_path):
    for name in ("b", "C", "a10", "a9"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "train" / name / "0.png")
    assert load_split(tmp_path, "train").class_names == ["C", "a10", "a9", "b"]


def test_the_second_call_does_not_decode(copy, monkeypatch):
    first = np.array(load_split(copy, "val", size=32, channels=3).images)
    monkeypatch.setattr(folders, "open_picture", None)
    assert np.array_equal(load_split(copy, "val", size=32, channels=3).images, first)


def test_a_changed_added_or_removed_file_is_noticed(copy):
    before = load_split(copy, "val")
    path = copy / "val" / before.class_names[0] / "00000.png"
    Image.new("RGB", (32, 32), "red").save(path)
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10))
    changed = load_split(copy, "val")
    assert changed.images[0, 0, 0].tolist() == [255, 0, 0]
    path.unlink()
    assert len(load_split(copy, "val").labels) == len(before.labels) - 1
    packed = [p for p in (copy / ".dfml-cache").iterdir() if p.suffix == ".npy"]
    assert len(packed) == 1, "what was packed before is removed"


def test_a_damaged_cache_is_made_again(copy):
    good = np.array(load_split(copy, "val").images)
    for suffix in (".npy", ".json"):
        (path,) = (copy / ".dfml-cache").glob(f"*{suffix}")
        for left in (50, 0):
            path.write_bytes(path.read_bytes()[:left])
            assert np.array_equal(load_split(copy, "val").images, good)


def test_sizes_are_packed_apart(copy):
    small, grey = load_split(copy, "val", size=16), load_split(copy, "val", channels=1)
    assert small.images.shape[1:] == (16, 16, 3)
    assert grey.images.shape[1:] == (32, 32, 1)
    assert load_split(copy, "val", size=16).images.shape[1:] == (16, 16, 3)


def test_a_read_only_folder_is_packed_elsewhere(copy, monkeypatch, tmp_path):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    real = os.access
    # The tests may run as root, whom file modes do not stop.
    monkeypatch.setattr(os, "access", lambda p, mode: False if str(p).startswith(str(copy)) else real(p, mode))
    data = load_split(copy, "val")
    assert len(data.labels) == 5 * 24
    assert list((tmp_path / "cache" / "packed").rglob("*.npy"))
    assert not list(copy.rglob("*.npy"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(copy, monkeypatch, tmp_path):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    copy.chmod(0o555)
    try:
        assert len(load_split(copy, "val").labels) == 5 * 24
    finally:
        copy.chmod(0o755)


def test_a_full_disk_while_packing_gives_one_line(copy, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(RunFailed, match="no space left"):
        load_split(copy, "val")
    assert not [p for p in (copy / ".dfml-cache").iterdir() if p.suffix in (".npy", ".part")]


def test_photographs_are_cropped_not_squashed(tmp_path):
    picture = np.zeros((60, 100, 3), np.uint8)
    picture[:, 20:80] = 255
    (tmp_path / "cat").mkdir()
    Image.fromarray(picture).save(tmp_path / "cat" / "a.png")
    data = load_split(tmp_path, "all")
    assert data.images.shape == (1, 60, 60, 3)
    assert data.images.min() == 255


def test_a_huge_first_picture_does_not_decide_the_size(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (1200, 900)).save(tmp_path / "cat" / "a.jpg")
    assert load_split(tmp_path, "all").size == folders.LARGEST_DEFAULT


def test_a_class_called_train_is_a_class(tmp_path):
    for name in ("train", "bus"):
        (tmp_path / name).mkdir()
        Image.new("L", (16, 16)).save(tmp_path / name / "0.png")
    assert list_splits(tmp_path) == ["all"]
    data = load_split(tmp_path, "all")
    assert data.class_names == ["bus", "train"]
    assert data.channels == 1


def test_other_files_and_hidden_folders_are_passed_over(copy):
    (copy / "val" / "readme.txt").write_text("x")
    (copy / "val" / ".hidden").mkdir()
    (copy / "val" / "empty").mkdir()
    (copy / "val" / "kind08" / "notes.txt").write_text("x")
    (copy / "val" / "kind08" / "folder.png").mkdir()
    (copy / "val" / "kind08" / "gone.png").symlink_to(copy / "nowhere.png")
    data = load_split(copy, "val")
    assert len(data.class_names) == 5
    assert len(data.labels) == 5 * 24


def test_missing_things_give_one_line(tmp_path, patterns):
    with pytest.raises(BadInput, match="no data set at"):
        load_split(tmp_path / "none", "train")
    with pytest.raises(BadInput, match="holds no class folders"):
        load_split(tmp_path, "train")
    with pytest.raises(BadInput, match="has no split 'training'; it has: train, val, test"):
        load_split(patterns, "training")
    with pytest.raises(BadInput, match="unknown sample 'nope'; embedded samples: .*cifar-fs"):
        load_split("sample:nope", "test")
    with pytest.raises(BadInput, match="has no split 'train'"):
        load_split("sample:cifar-fs", "train")
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(BadInput, match="no class folders with images"):
        load_split(tmp_path, "train")


def test_a_bad_picture_is_named_with_its_class(copy):
    (copy / "val" / "kind09" / "00005.png").write_text("I am no picture")
    with pytest.raises(BadInput, match="kind09/00005.png: not a PNG, JPEG, WebP, .* picture"):
        load_split(copy, "val")
