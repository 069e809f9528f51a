import errno
import json
import os
from pathlib import Path

import pytest

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import cache_root, filled_folder, inside, read_json, runs_root, write_atomically, write_json


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\0b"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(BadInput):
        inside(tmp_path, name)


def test_a_link_that_leads_out_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "door").symlink_to(tmp_path)
    with pytest.raises(BadInput):
        inside(tmp_path / "in", "door/x")
    assert inside(tmp_path / "in", "a/b") == tmp_path.resolve() / "in" / "a" / "b"


def test_a_full_disk_keeps_the_old_file_and_leaves_no_part(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {"step": 1})

    def fill(part):
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunFailed, match="no space left .*state.json"):
        write_atomically(path, fill)
    assert json.loads(path.read_text()) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_folder_that_may_not_be_written_gives_one_line(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(RunFailed, match="not writable"):
        write_json(tmp_path / "x.json", 1)


def test_what_is_synced_may_be_written_as_windows_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: os.write(handle, b""))
    write_json(tmp_path / "x.json", 1)
    assert read_json(tmp_path / "x.json", "x") == 1


def test_an_empty_folder_is_filled_also_where_none_is_renamed_to_it(tmp_path, monkeypatch):
    rename = Path.replace

    def as_windows(self, target):
        if target.is_dir():
            raise PermissionError(errno.EACCES, "Access is denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", as_windows)
    (tmp_path / "out").mkdir()
    with filled_folder(tmp_path / "out") as part:
        (part / "x").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x"]


def test_another_error_passes_unchanged(tmp_path):
    def stumble(part):
        raise KeyError("x")

    with pytest.raises(KeyError):
        write_atomically(tmp_path / "x", stumble)
    assert not list(tmp_path.iterdir())


def test_unreadable_json_gives_one_line(tmp_path):
    (tmp_path / "torn.json").write_text('{"a": ')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "number.json").write_text("1" * 5000)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("torn.json", "bytes.json", "folder.json", "number.json", "deep.json", "missing.json", "x" * 300):
        with pytest.raises(BadInput):
            read_json(tmp_path / name, "thing")


def test_roots_follow_the_environment(monkeypatch, tmp_path):
    assert os.environ["DFML_RUNS"] == str(runs_root())
    monkeypatch.setenv("DFML_CACHE", str(tmp_path))
    assert cache_root() == tmp_path


def test_a_place_where_no_folder_can_be_made_is_said(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BadInput, match="no folder can be made at .*out: No such file"), filled_folder(tmp_path / "out"):
        pass
