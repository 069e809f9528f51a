import io
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dfml.core.errors import BadInput
from dfml.runs.folder import RunFolder
from dfml.runs.grids import cut_grid
from dfml.runs.spec import RunSpec
from dfml.ui.inversion.downloads import arrays_npz, file_stem, grid_png, report_json
from dfml.ui.inversion.privacy import pair_caption, read_privacy
from dfml.ui.inversion.recoveries import StoredRecovery

REPORT = {"teacher": "000", "zoo": "/zoos/my zoo", "classes": ["bee", "sweet_pepper"], "images": 5, "per_class": 3}


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "images": rng.random((5, 3, 32, 32)).astype(np.float32),
        "labels": np.array([0, 0, 0, 1, 1]),
        "soft_targets": rng.random((5, 2)).astype(np.float32),
    }
    save_file(tensors, tmp_path / "pictures.safetensors")
    return StoredRecovery("run", "a run", "000", tmp_path, REPORT)


def test_the_png_has_a_row_a_class_and_empty_cells_where_pictures_end(stored):
    picture = Image.open(io.BytesIO(grid_png(stored)))
    assert picture.size == (3 * 64 + 2 * 3, 2 * 64 + 3)
    assert picture.getpixel((picture.width - 1, picture.height - 1))[3] == 0
    assert picture.getpixel((0, 0))[3] == 255


def test_the_arrays_open_without_pickle_and_name_the_classes(stored):
    with np.load(io.BytesIO(arrays_npz(stored)), allow_pickle=False) as found:
        assert {name: found[name].shape for name in found} == {
            "images": (5, 3, 32, 32),
            "labels": (5,),
            "soft_targets": (5, 2),
            "class_names": (2,),
        }
        assert list(found["class_names"]) == ["bee", "sweet pepper"]


def test_the_report_holds_the_order_the_measures_and_the_privacy_report(stored, tmp_path):
    run = RunFolder.create(RunSpec(kind="invert", method="pixels", seed=7), root=tmp_path / "runs")
    assert json.loads(report_json(run, stored))["privacy"] is None
    (tmp_path / "privacy.json").write_text('{"level": "none", "pairs": []}', encoding="utf-8")
    found = json.loads(report_json(run, stored))
    assert (found["order"]["seed"], found["report"]["teacher"]) == (7, "000")
    assert found["privacy"]["level"] == "none"


def test_missing_pictures_are_one_clear_line(stored):
    (stored.folder / "pictures.safetensors").unlink()
    for make in (grid_png, arrays_npz):
        with pytest.raises(BadInput, match="teacher 000"):
            make(stored)


def test_file_names_are_safe(stored):
    assert file_stem(stored, "generator, queries only") == "my-zoo-000-generator-queries-only"


def test_a_foreign_privacy_report_is_refused(stored, tmp_path):
    assert read_privacy(stored) is None
    (tmp_path / "privacy.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(BadInput, match="no privacy report"):
        read_privacy(stored)


def test_the_sheet_of_pairs_is_cut_into_its_columns():
    sheet = Image.new("RGB", (3 * 96 + 2 * 2, 3 * 96 + 4))
    assert [part.size for part in cut_grid(sheet, 3, 3)] == [(96, 292)] * 3


def test_a_pair_names_the_training_pictures_class_where_it_is_another():
    pair = {"ratio": 0.876, "recovered_class": "sweet_pepper", "training_class": "bee"}
    assert pair_caption(pair) == "0.88 · sweet pepper / bee"
    assert pair_caption({**pair, "training_class": "sweet_pepper"}) == "0.88 · sweet pepper"
