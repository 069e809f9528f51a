"""Names, stars and notes: kept beside a run, shown wherever it is named, and never part of what it was asked."""

import json

import pytest

from dfml.core.errors import BadInput
from dfml.runs import launcher, recorded
from dfml.runs.folder import RunFolder
from dfml.runs.lab.annotating import annotate, delete_runs
from dfml.runs.lab.run_notes import NOTES, read_notes
from dfml.runs.status import write_raw
from dfml.ui.runs.run_rows import read_row
from tests.runs.trained import trained


def test_a_new_name_is_shown_everywhere_and_the_spec_stays(tmp_path):
    run = trained(tmp_path)
    spec, first = (run.path / "spec.json").read_bytes(), run.title
    annotate(run, label="  my\nbest ")
    annotate(run, star=True)
    annotate(run, text="first\nsecond")
    again = RunFolder(run.path)
    assert again.title == read_row(again).title == "my best"
    assert (read_notes(run.path).star, read_notes(run.path).text) == (True, "first\nsecond")
    assert (run.path / "spec.json").read_bytes() == spec
    assert annotate(run, label="").star and RunFolder(run.path).title == first


@pytest.mark.parametrize("change", [{"label": "x" * 81}, {"text": "x" * 4001}])
def test_what_is_too_long_is_refused_and_changes_nothing(tmp_path, change):
    run = trained(tmp_path)
    annotate(run, label="kept")
    with pytest.raises(BadInput):
        annotate(run, **change)
    assert read_notes(run.path).label == "kept"


@pytest.mark.parametrize("text", ["{", "[]", '{"label": 3}', '{"label": "' + 90 * "x" + '"}'])
def test_damaged_notes_are_no_notes(tmp_path, text):
    run = trained(tmp_path)
    (run.path / NOTES).write_text(text)
    assert RunFolder(run.path).title == "purer on a-zoo" and not read_notes(run.path).star


def test_runs_that_ship_and_folders_without_a_run_are_not_written_to(tmp_path, monkeypatch):
    shipped = trained(tmp_path / "shipped")
    monkeypatch.setattr(recorded, "RECORDED", tmp_path / "shipped")
    for run in (shipped, RunFolder(tmp_path)):
        with pytest.raises(BadInput):
            annotate(run, star=True)
    assert delete_runs([shipped])[0] == 0 and shipped.path.is_dir()
    assert not list(tmp_path.rglob(NOTES))


def test_several_are_deleted_and_one_at_work_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_RUNS", str(tmp_path))
    ended, other, working = (trained(tmp_path, seed=seed) for seed in range(3))
    raw = json.loads((working.path / "status.json").read_text())
    write_raw(working.path, {**raw, "state": "queued", "updated": 4e9})
    annotate(ended, star=True)
    gone, kept = delete_runs([ended, working, other])
    assert gone == 2 and len(kept) == 1 and working.name in kept[0]
    assert {path for path in (ended.path, other.path, working.path) if path.exists()} == {working.path}


def test_notes_go_with_a_run_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))
    run = trained(tmp_path / "runs", path=tmp_path / "elsewhere")
    annotate(run, star=True)
    launcher.delete(run)
    assert not run.path.exists()
