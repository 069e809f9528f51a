"""What all tests share: folders of their own, small patterned pictures, and a zoo of three tiny teachers."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import conditions
from tests.margins import Margin, refuse_unlike

pytest_plugins = ["tests.method_fixtures"]
_HOME = tempfile.mkdtemp(prefix="dfml-tests-")


def pytest_configure(config):
    # Before anything of dfml is imported, and inherited by every process that a test starts.
    os.environ["DFML_RUNS"] = os.path.join(_HOME, "runs")
    os.environ["DFML_CACHE"] = os.path.join(_HOME, "cache")
    os.environ["OMP_NUM_THREADS"] = str(conditions.threads())
    conditions.seed()  # refused here where it is no number
    # A line of their own for the device, so that tests never wait for somebody's real run.
    os.environ["DFML_LOCKS"] = os.path.join(_HOME, "locks")


def pytest_unconfigure(config):
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items):
    reasons = {}
    for item in items:
        for marker in ("cuda", "browser", "data", "server"):
            if item.get_closest_marker(marker):
                if marker not in reasons:
                    reasons[marker] = _why_not(marker)
                if reasons[marker]:
                    item.add_marker(pytest.mark.skip(reason=reasons[marker]))


def pytest_itemcollected(item):
    refuse_unlike(item)


def _why_not(marker):
    if marker == "cuda":
        import torch

        return "" if torch.cuda.is_available() else "no NVIDIA GPU here"
    if marker == "browser":
        return "" if shutil.which("chromium") else "no Chromium here"
    if marker == "server":
        from dfml.core.errors import BadInput
        from dfml.zoo.remote.serving import find_server_python

        try:
            find_server_python()
        except BadInput as error:
            return str(error)
        return ""
    return "" if os.environ.get("DFML_DATA") else "DFML_DATA names no folder of real data sets"


def _set_threads():
    """Runs inside a test's own process set their threads; what comes next must not see that: sums change with it."""
    import torch

    torch.set_num_threads(conditions.threads())


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    _set_threads()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    _set_threads()


@pytest.fixture(scope="session", autouse=True)
def _installed_components_are_looked_for_once():
    """Each ``AppTest`` reads what all installed packages say of themselves, which takes longer than a page."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


@pytest.fixture
def margin(request):
    """Checks that record how near their limit they came; see ``Margin``. For tests that are marked ``stochastic``."""
    made, failed = Margin(request.node.nodeid), request.session.testsfailed
    yield made
    assert made.records or request.session.testsfailed > failed, "a stochastic test checks something with its margin"


def patterned_picture(kind, rng, size=32, channels=3):
    """A striped picture, uint8 [size, size, channels]; ``kind`` decides direction, pitch and colour."""
    style = np.random.default_rng(1000 + kind)
    angle, pitch = np.pi * kind * 0.381966, 2.0 + 2.5 * style.random()
    colour = style.uniform(0.2, 1.0, channels)
    y, x = np.mgrid[0:size, 0:size] / size * 2 * np.pi
    wave = np.sin(pitch * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 2 * np.pi))
    picture = (0.5 + 0.45 * wave)[..., None] * colour + rng.normal(0, 0.05, (size, size, channels))
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def write_patterns(root, splits, *, per_class=24, size=32, channels=3, seed=0):
    """Write ``root/<split>/<class>/<picture>.png``; ``splits`` maps a split to its number of classes."""
    rng, kind = np.random.default_rng(seed), 0
    for split, classes in splits.items():
        for _ in range(classes):
            folder = Path(root) / split / f"kind{kind:02d}"
            folder.mkdir(parents=True)
            for number in range(per_class):
                array = patterned_picture(kind, rng, size, channels)
                Image.fromarray(array.squeeze(-1) if channels == 1 else array).save(folder / f"{number:05d}.png")
            kind += 1
    return Path(root)


@pytest.fixture(scope="session")
def patterns(tmp_path_factory):
    """A class-folder data set: 8 train, 5 val, 6 test classes of 24 colour pictures, 32 px. Do not change it."""
    return write_patterns(tmp_path_factory.mktemp("data") / "patterns", {"train": 8, "val": 5, "test": 6})


@pytest.fixture(scope="session")
def grey_patterns(tmp_path_factory):
    """The same in grey, 28 px: 6 train and 5 test classes of 20 pictures. Do not change it."""
    root = tmp_path_factory.mktemp("data") / "grey-patterns"
    return write_patterns(root, {"train": 6, "test": 5}, per_class=20, size=28, channels=1)


@pytest.fixture(scope="session")
def tiny_zoo_folder(patterns, tmp_path_factory):
    """Three five-way Conv4 teachers of width 8, trained for a second on the patterns. Do not change it."""
    from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo

    out = tmp_path_factory.mktemp("zoos") / "tiny"
    config = PretrainConfig(models=3, way=5, epochs=8, batch=32, lr=0.01, width=8, flip=False, shift=0)
    config = config.override({"seed": conditions.seed(1)})
    pretrain_zoo(patterns, out, ["fewshot_conv4"], config)
    return out


@pytest.fixture
def tiny_zoo(tiny_zoo_folder):
    """The tiny zoo, opened."""
    from dfml.zoo import open_zoo

    return open_zoo(tiny_zoo_folder)


@pytest.fixture
def zoo_copy(tiny_zoo_folder, tmp_path):
    """A copy of the tiny zoo's folder, to be damaged."""
    return Path(shutil.copytree(tiny_zoo_folder, tmp_path / "zoo"))
