"""The reading side: specs, status, incremental metrics, lists of damaged folders."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from dfml.core.errors import BadInput
from dfml.core.events import ZooMap
from dfml.core.system import SYSTEM
from dfml.runs import liveness
from dfml.runs.folder import RunFolder, find_run, list_runs
from dfml.runs.metrics import MetricsReader, MetricsWriter, cut_back, shared_reader
from dfml.runs.recorder import Recorder
from dfml.runs.status import live_status, write_raw


def test_the_reading_side_and_the_launcher_need_no_torch():
    code = "import sys, dfml.runs.folder, dfml.runs.launcher, dfml.runs.driver; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=os.getcwd()).returncode == 0


def test_a_new_folder_records_the_whole_order(tools, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-zoo").mkdir()
    folder = RunFolder.create(tools.order({"steps": 3}, label="My run").model_copy(update={"zoo": "my-zoo"}))
    assert folder.path.parent == tmp_path / "runs"
    assert "-my-run-" in folder.name
    spec = RunFolder(folder.path).spec
    assert spec.zoo == str(tmp_path / "my-zoo")
    assert spec.config == {"steps": 3} and spec.threads == 1 and spec.format == 1
    assert {"python", "torch", "dfml"} <= spec.versions.keys()
    assert list_runs() == [folder]


def test_a_folder_that_is_not_empty_is_refused(tools, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(BadInput, match=r"thesis\.txt.*--out"):
        RunFolder.create(tools.order({}), path=tmp_path / "full")
    RunFolder.create(tools.order({}), path=tmp_path / "new" / "run")
    with pytest.raises(BadInput, match="already holds a run.*--resume"):
        RunFolder.create(tools.order({}), path=tmp_path / "new" / "run")


def test_runs_elsewhere_are_listed_until_they_are_gone(tools, tmp_path):
    folder = RunFolder.create(tools.order({}), path=tmp_path / "elsewhere")
    assert list_runs() == [folder]
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    assert list_runs() == []
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no valid JSON"),
        ("[]", "not a run's"),
        ('{"kind": "train", "method": "purer"}', "format 0 of an older version"),
        ('{"kind": "train", "method": "purer", "format": 99, "wings": 2}', "format 99 of a newer version"),
        ('{"kind": "train", "method": "purer", "format": 1, "seed": -1}', "seed"),
        ('{"kind": "dance", "method": "purer", "format": 1}', "kind"),
    ],
)
def test_folders_of_other_formats_are_listed_with_a_clear_line(tools, content, message):
    good = RunFolder.create(tools.order({}))
    bad = good.path.parent / "20200101T000000Z-old-abc"
    bad.mkdir()
    (bad / "spec.json").write_text(content)
    listed = list_runs()
    assert [run.name for run in listed] == [good.name, bad.name]
    assert good.problem is None
    status = listed[1].status()
    assert status.state == "unreadable" and message in status.error and "\n" not in status.error
    assert not status.active and not status.resumable
    assert listed[1].scalars() == {} and listed[1].images() == [] and listed[1].result() is None
    assert listed[1].title == bad.name and listed[1].created > 0


def test_a_damaged_status_is_no_crash(tools):
    folder = RunFolder.create(tools.order({}))
    (folder.path / "status.json").write_text("{")
    assert folder.status().state == "unreadable"
    (folder.path / "status.json").unlink()
    assert "missing" in folder.status().error


@pytest.mark.parametrize(
    "content",
    [
        "{}", '{"state": 5}', '{"state": "nonsense"}', '{"state": "running", "updated": "today"}',
        '{"state": "running", "step": "three"}', '{"state": "unreadable"}',
        '{"state": "running", "pid": "abc", "process": "x"}', "[" * 50_000,
    ],
)  # fmt: skip
def test_a_status_of_another_program_is_listed_and_breaks_nothing(tools, content):
    folder = RunFolder.create(tools.order({}))
    (folder.path / "status.json").write_text(content)
    assert [(run.status().state, run.status().fraction) for run in list_runs()] == [("unreadable", 0.0)]
    assert "is missing or damaged" in folder.status().error


@pytest.mark.parametrize("name", [os.fsdecode(b"run-\xff"), "n" * 250])
def test_a_run_in_a_folder_of_any_name_can_be_told_to_be_unreadable(tmp_path, name):
    folder = tmp_path.joinpath(*[name] * (15 if name.isalpha() else 1))
    folder.mkdir(parents=True)
    for content in ("{", '{"kind": "train", "method": "purer", "format": 0}'):
        (folder / "spec.json").write_text(content)
        assert RunFolder(folder).status().state == "unreadable"


def test_runs_are_found_by_path_name_and_part(tools):
    first = RunFolder.create(tools.order({}, label="first"))
    second = RunFolder.create(tools.order({}, label="second"))
    assert find_run(first.path) == find_run(first.name) == find_run("first") == first
    assert find_run("second") == second
    with pytest.raises(BadInput, match="fits 2 runs"):
        find_run("20")
    with pytest.raises(BadInput, match="no run 'third'"):
        find_run("third")


def test_metrics_are_read_as_they_grow(tmp_path):
    path = tmp_path / "metrics.jsonl"
    reader = MetricsReader(path)
    assert reader.scalars() == {}
    writer = MetricsWriter(tmp_path)
    writer.write({"type": "scalars", "step": 1, "values": {"a": 0.5, "b": float("nan")}})
    assert reader.scalars() == {"a": ([1], [0.5]), "b": ([1], [None])}
    with path.open("ab") as file:
        file.write(b'{"type": "scalars", "step": 2, "val')
    assert reader.scalars()["a"] == ([1], [0.5])
    with path.open("ab") as file:
        file.write(b'ues": {"a": 0.75}}\nrubbish\n{"type": "note", "step": 2, "kind": "k", "text": "t"}\n')
    assert reader.scalars()["a"] == ([1, 2], [0.5, 0.75])
    assert reader.records("note")[0].text == "t"
    assert reader.damaged == 1


def test_records_that_lack_something_count_as_damaged_and_break_nothing(tools):
    folder = RunFolder.create(tools.order({}))
    (folder.path / "images").mkdir()
    whole = {"type": "images", "step": 1, "tag": "t", "file": "a.png", "labels": [0]}
    (folder.path / "images" / "a.png").write_bytes(b"")
    writer = MetricsWriter(folder.path)
    for name in ("tag", "file", "labels"):
        writer.write({key: value for key, value in whole.items() if key != name})
    writer.write({"type": "dance", "step": 1, "ids": ["a"]})
    writer.write({"type": "zoo_map", "step": 1, "ids": ["a"]})
    writer.write({"type": "note", "step": 1})
    writer.write(whole)
    assert [(image.tag, image.labels) for image in folder.images()] == [("t", [0])]
    assert folder.zoo_map() is None and len(folder.notes()) == 1
    assert shared_reader(folder.path).damaged == 5
    with Recorder(folder.path, {}) as recorder:
        assert recorder.rewind() is None


def test_a_map_of_the_zoo_is_kept_and_the_newest_counts(tools):
    folder = RunFolder.create(tools.order({}))
    with Recorder(folder.path, {}) as recorder:
        for value in (0.25, 0.123456):
            matrix = np.array([[1, value], [value, 1]])
            recorder.record(ZooMap(1, ["a", "b"], matrix, [0, 1], [[0.0, 1.0], [2.0, 3.0]], "two groups"))
    found = folder.zoo_map()
    assert found.ids == ["a", "b"] and found.groups == [0, 1] and found.text == "two groups"
    assert found.similarity == [[1.0, 0.1235], [0.1235, 1.0]] and found.places == [[0.0, 1.0], [2.0, 3.0]]


def test_only_new_bytes_are_parsed(tmp_path, monkeypatch):
    writer = MetricsWriter(tmp_path)
    reader = MetricsReader(tmp_path / "metrics.jsonl")
    taken = []
    monkeypatch.setattr(reader, "_take", taken.append)
    for step in range(3):
        writer.write({"type": "note", "step": step})
        reader.scalars()
    assert len(taken) == 3


def test_a_file_that_was_cut_back_and_grew_again_is_read_anew(tmp_path):
    writer = MetricsWriter(tmp_path)
    reader = MetricsReader(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        writer.write({"type": "scalars", "step": step, "values": {"a": float(step)}})
        if step == 1:
            offset = writer.offset
    assert reader.scalars()["a"][0] == [1, 2, 3]
    writer.close()
    cut_back(tmp_path, offset)
    writer = MetricsWriter(tmp_path)
    for step in (2, 3, 4, 5):  # longer than before: only the content tells
        writer.write({"type": "scalars", "step": step, "values": {"a": 10.0 * step}})
    assert reader.scalars()["a"] == ([1, 2, 3, 4, 5], [1.0, 20.0, 30.0, 40.0, 50.0])


def test_cutting_back_drops_a_torn_last_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"a": 1}\n{"b": 2}\n{"c"')
    cut_back(tmp_path, 10**9)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"a": 1}\n{"b": 2}\n'
    cut_back(tmp_path, 12)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"a": 1}\n'
    cut_back(tmp_path, 3)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_a_reused_process_id_does_not_pass_for_the_worker(tools):
    folder = RunFolder.create(tools.order({}))
    raw = {"state": "running", "pid": os.getpid(), "host": liveness.HOST, "updated": time.time()}
    write_raw(folder.path, {**raw, "process": liveness.start_token(os.getpid())})
    assert folder.status().state == "running"
    write_raw(folder.path, {**raw, "process": f"{SYSTEM.boot_id()}-1"})
    status = folder.status()
    assert status.state == "crashed" and status.error and status.resumable


def test_a_zombie_counts_as_dead_and_tells_its_signal(tools):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    token = liveness.start_token(child.pid)
    assert liveness.is_alive(child.pid, token)
    child.kill()
    tools.wait_for(lambda: not liveness.is_alive(child.pid, token))
    folder = RunFolder.create(tools.order({}))
    raw = {"pid": child.pid, "process": token, "host": liveness.HOST, "updated": time.time()}
    write_raw(folder.path, {**raw, "state": "queued"})
    assert folder.status().state == "crashed"
    if sys.platform == "linux":
        assert "SIGKILL" in folder.status().error
    child.wait()
    assert folder.status().state == "crashed"


def test_a_restarted_machine_is_named(tools):
    folder = RunFolder.create(tools.order({}))
    raw = {"state": "running", "pid": 1, "host": liveness.HOST, "process": "0000dead-7", "updated": time.time()}
    write_raw(folder.path, raw)
    assert "restarted" in folder.status().error


def test_a_run_on_another_machine_is_judged_by_its_heartbeat(tools):
    folder = RunFolder.create(tools.order({}))
    raw = {"state": "running", "pid": 1, "host": "elsewhere", "process": "x", "updated": time.time()}
    write_raw(folder.path, raw)  # writes the file as it is given, heartbeat included
    assert folder.status().state == "running"
    write_raw(folder.path, {**raw, "updated": time.time() - 100})
    assert "elsewhere" in folder.status().error


def test_an_order_that_nobody_took_up_shows_as_crashed(tools):
    folder = RunFolder.create(tools.order({}))
    write_raw(folder.path, {"state": "queued", "queued": 1.0, "updated": time.time()})
    assert folder.status().state == "queued"
    write_raw(folder.path, {"state": "queued", "queued": 1.0, "updated": time.time() - 60})
    assert "never started" in folder.status().error


def test_the_status_survives_a_full_disk(tools, tmp_path, monkeypatch):
    folder = RunFolder.create(tools.order({}))
    before = (folder.path / "status.json").stat().st_size

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert write_raw(folder.path, {"state": "failed", "error": "e" * 5000, "text": "t" * 5000, "updated": time.time()})
    assert (folder.path / "status.json").stat().st_size <= before  # no new block was needed
    assert live_status(folder.path).state == "failed"
    json.loads((folder.path / "status.json").read_text())
