import io
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dfml.runs.spec import RunSpec
from dfml.ui.inversion.contact_sheet import GAP, LABEL, MARGIN, SIDE, contact_sheet, drawable, sheet_titles
from dfml.ui.inversion.picture_order import recovered_pictures
from dfml.ui.inversion.recoveries import StoredRecovery

SPEC = RunSpec(kind="invert", method="pixels", zoo="my-zoo", seed=7)
COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]


@pytest.fixture
def stored(tmp_path):
    """Two pictures of one class and one of another, each of one colour; the judge disagrees on the second."""
    images = np.stack([np.broadcast_to(np.array(c)[:, None, None] / 255, (3, 8, 8)) for c in COLOURS])
    save_file({"images": images.astype(np.float32), "labels": np.array([0, 0, 1])}, tmp_path / "pictures.safetensors")
    teacher = {"first": [0, 0, 1], "sure": [0.9, 0.9, 0.9], "asked": [0.9, 0.9, 0.9]}
    judge = {"first": [0, 1, 1], "sure": [0.8, 0.7, 0.6], "asked": [0.8, 0.3, 0.6]}
    (tmp_path / "answers.json").write_text(json.dumps({"teacher": teacher, "judge": judge}), encoding="utf-8")
    report = {"teacher": "003", "zoo": "my-zoo", "classes": ["bee", "Früchte"], "images": 3, "per_class": 2}
    report |= {"method": "pixels", "steps": 40, "teacher_accuracy": 1.0, "judge_agreement": 2 / 3}
    return StoredRecovery("run", "a run", "003", tmp_path, report)


def test_each_picture_stands_in_the_row_of_its_class(stored):
    sheet = Image.open(io.BytesIO(contact_sheet(stored, SPEC))).convert("RGB")
    found = {}
    for colour in COLOURS:
        ys, xs = np.nonzero((np.asarray(sheet) == colour).all(-1))
        found[colour] = (xs.min(), ys.min())
        assert len(xs) == SIDE * SIDE
    (red, green, blue), left = (found[colour] for colour in COLOURS), MARGIN + LABEL
    assert (red[0], green[0], blue[0]) == (left, left + SIDE + GAP, left)
    assert red[1] == green[1] < blue[1]


def test_only_the_picture_on_which_they_disagree_has_a_frame(stored):
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(stored, SPEC))).convert("RGB"))
    alarm = (sheet == (0xB3, 0x30, 0x1F)).all(-1)
    ys, xs = np.nonzero(alarm)
    left = MARGIN + LABEL + SIDE + GAP
    assert len(xs) > SIDE and xs.min() >= left - 3 and xs.max() <= left + SIDE + 3


def test_the_titles_say_whose_pictures_they_are_and_what_was_measured(stored):
    lines = " ".join(sheet_titles(stored, SPEC, recovered_pictures(stored)))
    for part in ("teacher 003", "my-zoo", "pixels", "40 steps", "seed 7", "100.0 %", "66.7 %"):
        assert part in lines
    (stored.folder / "answers.json").unlink()
    assert len(sheet_titles(stored, SPEC, recovered_pictures(stored))) == 3


def test_names_of_several_lines_or_pages_break_no_sheet(stored):
    stored.report.update(classes=["bee\nhive", "猫" * 4000], method="a\nb" * 1000)
    sheet = Image.open(io.BytesIO(contact_sheet(stored, SPEC)))
    assert sheet.width < 4000 and sheet.height < 400


def test_letters_that_are_not_at_hand_are_named():
    assert drawable("Früchte 3") == "Früchte 3"
    assert drawable("猫") == "U+732B"


def test_answers_that_do_not_fit_count_as_none(stored):
    file = stored.folder / "answers.json"
    good = json.loads(file.read_text())
    for damaged in ("[]", "{", json.dumps({"judge": {**good["judge"], "first": [0]}}), '{"judge": {"first": "x"}}'):
        file.write_text(damaged, encoding="utf-8")
        assert stored.answers() == {}
    file.write_text(json.dumps({**good, "judge": None}), encoding="utf-8")
    assert list(stored.answers()) == ["teacher"]
