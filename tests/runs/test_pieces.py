"""Checkpoints, picture grids, the stop switch's parts, whose turn it is on a device."""

import json
import os
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from dfml.core.errors import BadInput, StopRequested
from dfml.nets.checkpoint import load_checkpoint, save_checkpoint
from dfml.runs import device_lock, launcher, liveness
from dfml.runs.device_lock import device_key, locks_folder, take_turns
from dfml.runs.folder import RunFolder
from dfml.runs.grids import grid_columns, make_grid
from dfml.runs.recorder import file_name, to_thin_out
from dfml.runs.status import read_raw, write_raw


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(4, 3)
    state = {
        "weight": weight,
        "view": weight[1:],  # shares memory
        "transposed": weight.t(),
        "generator": generator.get_state(),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 5),
        "flags": torch.tensor([True, False]),
        "step": 12,
        "history": [0.1, None, {"a": "ü"}],
    }
    path = tmp_path / "x" / "c.safetensors"
    save_checkpoint(path, state, {"step": 12})
    back, about = load_checkpoint(path)
    assert about == {"step": 12} and list(back) == list(state)
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            assert back[key].dtype == value.dtype and torch.equal(back[key], value), key
        else:
            assert back[key] == value
    expected = torch.rand(3, generator=generator)
    assert torch.equal(torch.rand(3, generator=torch.Generator().set_state(back["generator"])), expected)
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["state"])["step"] == 12  # plain JSON, nothing pickled
    assert [p.name for p in path.parent.iterdir()] == ["c.safetensors"]


def test_a_checkpoint_refuses_what_it_could_not_give_back(tmp_path):
    with pytest.raises(TypeError, match="'optimiser'"):
        save_checkpoint(tmp_path / "c.safetensors", {"optimiser": object()})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_foreign_checkpoint_is_named(tmp_path, content):
    (tmp_path / "c.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="c.safetensors"):
        load_checkpoint(tmp_path / "c.safetensors")


@pytest.mark.parametrize(("channels", "size", "factor"), [(3, 32, 3), (1, 28, 3), (3, 84, 1), (3, 224, 1)])
def test_the_grid_enlarges_by_whole_factors(channels, size, factor):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (6, channels, size, size)).astype(np.uint8)
    grid = np.asarray(make_grid(torch.from_numpy(pictures).float() / 255))
    columns = grid_columns(6)
    side = size * factor
    assert grid.shape[1] == columns * (side + 2) - 2
    for number, picture in enumerate(pictures):
        top, left = number // columns * (side + 2), number % columns * (side + 2)
        tile = grid[top : top + side, left : left + side][::factor, ::factor]
        assert np.array_equal(tile, picture.transpose(1, 2, 0) if channels == 3 else picture[0])


def test_the_grid_shows_at_most_a_hundred_and_stands_odd_numbers():
    assert make_grid(np.zeros((1000, 3, 32, 32))).size == (10 * 66 - 2, 10 * 66 - 2)
    strange = np.array([np.nan, np.inf, -3.0, 2.0], np.float32).reshape(4, 1, 1, 1)
    assert isinstance(make_grid(strange), Image.Image)
    with pytest.raises(ValueError, match=r"received \[3, 32, 32\]"):
        make_grid(np.zeros((3, 32, 32)))


def test_file_names_are_safe_and_sort_by_step():
    assert file_name(7, "recovered/../../x y", 1) == "0000007-recovered_.._.._x_y-1.png"
    assert sorted([file_name(10, "a", 1), file_name(9, "a", 2)])[0].startswith("0000009")


def test_many_tags_share_the_limit():
    names = [file_name(step, "t", step) for step in range(10)]
    assert to_thin_out(names, 1) == []
    kept = [name for name in names if name not in to_thin_out(names, 100)]
    assert len(kept) == 4 and kept[0] == names[0] and kept[-1] == names[-1]


def test_only_an_uncertain_device_asks_torch(monkeypatch):
    monkeypatch.setattr(device_lock, "_GPU_HINTS", ())
    monkeypatch.setattr(device_lock.sys, "platform", "linux")
    assert device_key("auto") == "cpu"
    monkeypatch.setattr(device_lock, "_GPU_HINTS", ("/dev/null",))
    assert device_key("auto") is None
    assert [device_key(d) for d in ("cpu", "cuda", "cuda:0", "cuda:1", "mps")] == [
        "cpu", "cuda-0", "cuda-0", "cuda-1", "mps",
    ]  # fmt: skip


@pytest.fixture
def waits(tools):
    """Make runs that are queued, by a process that lives unless told otherwise."""

    def make(queued, *, token=None, host=liveness.HOST, state="queued", status=None, **asked):
        run, pid = RunFolder.create(tools.order({}, **asked)), os.getppid()
        worker = {"pid": pid, "process": token or liveness.start_token(pid), "host": host}
        write_raw(run.path, {"state": state, "queued": queued, "updated": time.time(), **worker, **(status or {})})
        return run

    return make


def turn(run, device="cpu"):
    """What a run is told that it waits for; None when the device is its own at once."""
    told = []

    def check():
        if told:
            raise StopRequested("that is enough")

    try:
        with take_turns(device, run.name, told.append, check=check, run=run):
            return None
    except StopRequested:
        return told[-1]


def test_of_those_that_wait_the_first_goes_first(waits):
    middle, last, first = waits(200.0), waits(300.0), waits(100.0)
    assert (
        turn(last) == f"waiting for cpu (run {middle.name})" and turn(middle) == f"waiting for cpu (run {first.name})"
    )
    assert turn(first) is None and (locks_folder() / "cpu.holder").read_text() == ""
    write_raw(first.path, {"state": "stopped"})
    launcher.delete(first)
    assert turn(middle) is None


@pytest.mark.parametrize(
    "other",
    [
        {"queued": 300.0}, {"token": "someone-else"}, {"host": "elsewhere"}, {"state": "running"}, {"queued": None},
        {"device": "cuda"}, {"cluster": "tcp://127.0.0.1:1"},
    ],
)  # fmt: skip
def test_one_that_does_not_wait_for_the_same_device_since_before_is_no_matter(waits, other):
    waits(**{"queued": 100.0, **other})
    assert turn(waits(200.0)) is None


def test_one_that_has_yet_to_ask_torch_may_want_any_device(waits, monkeypatch):
    monkeypatch.setattr(device_lock, "_GPU_HINTS", ("/dev/null",))
    other, mine = waits(100.0, device="auto"), waits(200.0)
    assert turn(mine) and turn(mine, "cuda:0")
    write_raw(other.path, {**(read_raw(other.path) or {}), "device": "cuda:0"})
    assert turn(mine) is None and turn(mine, "cuda:0") == f"waiting for cuda-0 (run {other.name})"


def test_who_waits_is_told_who_works_and_work_that_is_no_run_has_no_line(waits):
    earlier, mine = waits(100.0), waits(200.0)
    with take_turns("cpu", "a benchmark", print):
        assert turn(earlier) == turn(mine) == "waiting for cpu (run a benchmark)"
        assert turn(mine, "cuda:1") is None


def test_a_job_of_a_study_with_its_own_lock_waits_for_no_run_beside_it(waits, monkeypatch):
    """The run beside it may wait for the very study."""
    beside, mine = waits(100.0), waits(200.0)
    assert turn(mine) == f"waiting for cpu (run {beside.name})"
    with take_turns("cpu", "a benchmark", print):
        for name, value in device_lock.own_lock("side-by-side_0").items():
            monkeypatch.setenv(name, value)
        assert turn(mine) is None


def test_many_that_wait_try_the_lock_one_at_a_time(waits, monkeypatch):
    first, mine, tries = waits(100.0), waits(200.0), []
    monkeypatch.setattr(device_lock, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(device_lock, "_taken", lambda lock, taken=device_lock._taken: tries.append(1) or taken(lock))
    looks = iter(range(5))

    def check():
        if next(looks) == 3:
            assert len(tries) == 1, "only once was it looked for an earlier one"
            write_raw(first.path, {"state": "running"})

    with take_turns("cpu", mine.name, lambda text: None, check=check, run=mine):
        assert len(tries) == 2


def test_an_unusable_locks_folder_is_one_clear_line(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "file" / "locks"))
    with pytest.raises(BadInput, match="set DFML_LOCKS"):
        take_turns("cpu", "mine", print).__enter__()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of files here")
@pytest.mark.parametrize("wrong", ["", "link", "owner", "mode"])
def test_the_locks_folder_in_the_temporary_folder_must_be_the_users_alone(monkeypatch, tmp_path, wrong):
    monkeypatch.delenv("DFML_LOCKS")
    monkeypatch.setattr(device_lock.tempfile, "gettempdir", lambda: str(tmp_path))
    folder, me = locks_folder(), os.getuid()
    if not wrong:
        with take_turns("cpu", "mine", print):
            pass
        assert folder.stat().st_mode & 0o777 == 0o700
        return
    if wrong == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o755 if wrong == "mode" else 0o700)
    if wrong == "owner":
        monkeypatch.setattr(device_lock, "locks_folder", lambda: folder)
        monkeypatch.setattr(device_lock.os, "getuid", lambda: me + 1)
    with pytest.raises(BadInput) as failure:
        take_turns("cpu", "mine", print).__enter__()
    says = {"link": "it is a link", "owner": "belongs to another user", "mode": "mode 0700"}[wrong]
    assert says in str(failure.value) and "set DFML_LOCKS" in str(failure.value) and "\n" not in str(failure.value)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("address", ["https://anna:secret@host/v2", "HTTP://anna:secret@host", " http://a:secret@h "])
def test_a_run_keeps_no_password_and_the_refusal_does_not_repeat_it(address):
    from dfml.runs.spec import RunSpec

    with pytest.raises(BadInput, match="DFML_REMOTE_PASSWORD") as refusal:
        RunSpec.parse({"kind": "invert", "method": "pixels", "zoo": address}).recorded()
    assert "secret" not in str(refusal.value)


def test_an_address_without_a_password_is_kept_as_it_is():
    from dfml.runs.spec import RunSpec

    order = {"kind": "invert", "method": "pixels", "zoo": "https://host:80/a@b"}
    assert RunSpec.parse(order).recorded().zoo == "https://host:80/a@b"
