"""`data get`, against small archives in the official formats, made here: tests have no network."""

import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR100, Omniglot

from dfml.core.errors import BadInput, RunFailed
from dfml.data import sources
from dfml.data.folders import load_split

CIFAR_SPLITS = {"train": ["apple", "train"], "val": ["crab"], "test": ["rose"]}
OMNIGLOT_SPLITS = {"train": ["Greek_character01"], "val": ["Greek_character02"], "test": ["N_Ko_character01"]}


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """An archive of four classes, three pictures each for training and one for testing."""
    names, rng = ["apple", "crab", "rose", "train"], np.random.default_rng(0)
    members, sums = {}, {}
    for part, each in (("train", 3), ("test", 1)):
        labels = np.tile(np.arange(4), each).tolist()
        data = rng.integers(0, 256, (4 * each, 3072), dtype=np.uint8)
        members[part] = pickle.dumps({"data": data, "fine_labels": labels})
    members["meta"] = pickle.dumps({"fine_label_names": names})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            sums[name] = md5(content)
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / CIFAR100.filename).write_bytes(buffer.getvalue())
    monkeypatch.setattr(CIFAR100, "tgz_md5", md5(buffer.getvalue()))
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": sums["meta"]})
    monkeypatch.setattr(CIFAR100, "url", (tmp_path / "nowhere.tar.gz").as_uri())
    monkeypatch.setattr(sources, "split_lists", lambda name: CIFAR_SPLITS)
    return cache


@pytest.fixture
def omniglot(tmp_path, monkeypatch):
    """Archives of three characters, 105 px, black ink on white, as the authors publish them."""
    folder = tmp_path / "cache" / Omniglot.folder
    folder.mkdir(parents=True)
    sums = {}
    for part, characters in (
        ("images_background", ["Greek/character01", "Greek/character02"]),
        ("images_evaluation", ["N_Ko/character01"]),
    ):
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            for number, character in enumerate(characters):
                for drawer in (2, 1, 10):
                    drawing = np.full((105, 105), 255, np.uint8)
                    drawing[: 15 * (number + 1), : 5 * drawer] = 0
                    buffer = io.BytesIO()
                    Image.fromarray(drawing).convert("1").save(buffer, "PNG")
                    archive.writestr(f"{part}/{character}/{number:04d}_{drawer:02d}.png", buffer.getvalue())
        sums[part] = md5((folder / f"{part}.zip").read_bytes())
    monkeypatch.setattr(Omniglot, "zips_md5", sums)
    monkeypatch.setattr(Omniglot, "download_url_prefix", (tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(sources, "split_lists", lambda name: OMNIGLOT_SPLITS)
    return tmp_path / "cache"


def test_the_official_splits():
    cifar = sources.split_lists("cifar-fs")
    assert {split: len(names) for split, names in cifar.items()} == {"train": 64, "val": 16, "test": 20}
    omniglot = sources.split_lists("omniglot")
    assert {split: len(names) for split, names in omniglot.items()} == {"train": 1028, "val": 172, "test": 423}
    for splits in (cifar, omniglot):
        every = sum(splits.values(), [])
        assert len(set(every)) == len(every), "no class is in two splits"
    assert "Gurmukhi_character42" in omniglot["test"]


def test_cifar_fs_becomes_class_folders(cifar, tmp_path):
    seen = []
    result = sources.get("cifar-fs", tmp_path / "out", cache=cifar, report=lambda *a: seen.append(a))
    assert result == {"path": str(tmp_path / "out"), "classes": {"train": 2, "val": 1, "test": 1}, "images": 16}
    assert seen[-1] == (4, 4, "rose")
    files = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png"))
    assert files[:4] == [f"test/rose/{i:05d}.png" for i in range(4)]
    data = load_split(tmp_path / "out", "train")
    assert data.class_names == ["apple", "train"]
    original = CIFAR100(cifar, train=True)
    wanted = original.data[[i for i, t in enumerate(original.targets) if t == 3]]
    assert np.array_equal(data.images[data.members[1]][:3], wanted)
    assert not list(tmp_path.glob(".out*"))


def test_omniglot_becomes_small_bright_drawings(omniglot, tmp_path):
    sources.get("omniglot", tmp_path / "out", cache=omniglot)
    data = load_split(tmp_path / "out", "val")
    assert data.class_names == ["Greek_character02"]
    assert data.images.shape == (3, 28, 28, 1)
    # Drawers in the order of their numbers; 30 rows of ink of 105 are eight of 28.
    assert [int((x[0, :, 0] > 127).sum()) for x in data.images] == [1, 3, 13]
    assert (data.images[2, :8, :12] == 255).all()
    assert (data.images[2, 9:] == 0).all()
    assert load_split(tmp_path / "out", "test").class_names == ["N_Ko_character01"]


def test_a_half_unpacked_archive_is_unpacked_again(omniglot, tmp_path):
    (omniglot / Omniglot.folder / "images_background" / "Greek" / "character01").mkdir(parents=True)
    assert sources.get("omniglot", tmp_path / "out", cache=omniglot)["images"] == 9


def test_what_is_there_is_never_overwritten(cifar, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    with pytest.raises(BadInput, match="is there already"):
        sources.get("cifar-fs", out, cache=cifar)
    (out / "mine.txt").unlink()
    assert sources.get("cifar-fs", out, cache=cifar)["images"] == 16
    with pytest.raises(BadInput, match="is there already"):
        sources.get("cifar-fs", out, cache=cifar)


def test_a_stopped_call_leaves_nothing_and_can_be_made_again(cifar, tmp_path):
    def stop(done, total, name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sources.get("cifar-fs", tmp_path / "out", cache=cifar, report=stop)
    assert not (tmp_path / "out").exists()
    assert sources.get("cifar-fs", tmp_path / "out", cache=cifar)["images"] == 16


def test_without_a_network_one_line(cifar, omniglot, tmp_path):
    for name, file in (("cifar-fs", "cifar-100-python.tar.gz"), ("omniglot", "images_background.zip")):
        with pytest.raises(RunFailed, match=f"check the network .* or put {file} into") as caught:
            sources.get(name, tmp_path / "out", cache=tmp_path / "empty-cache")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_a_tampered_archive_is_never_unpickled(cifar, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(pickle, "load", lambda *a, **k: opened.append(a))
    archive = cifar / CIFAR100.filename
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(RunFailed, match="CIFAR-100"):
        sources.get("cifar-fs", tmp_path / "out", cache=cifar)
    assert not opened


def test_an_unknown_name_is_met_with_the_nearest(tmp_path):
    with pytest.raises(BadInput, match="Did you mean 'cifar-fs'. Known: cifar-fs, omniglot"):
        sources.get("cifarfs", tmp_path / "out")
