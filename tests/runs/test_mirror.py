"""A run's folder that follows another one, by what has changed in that."""

import pytest

from dfml.core.errors import BadInput
from dfml.runs.remote.mirror import Change, Sent, names_in, remove_others, write


@pytest.fixture
def there(tmp_path):
    folder = tmp_path / "there"
    for name, content in {"run/metrics.jsonl": b"one\n", "run/checkpoints/1.safetensors": b"a" * 100}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def follow(sent, there, here):
    changes = list(sent.changes(there, names_in(there)))
    write(here, changes)
    remove_others(here, set(names_in(there)))
    return changes


def content(folder):
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


def test_only_what_is_new_is_sent(there, tmp_path):
    sent, here = Sent(), tmp_path / "here"
    follow(sent, there, here)
    assert content(here) == content(there)
    with (there / "run/metrics.jsonl").open("ab") as file:
        file.write(b"two\n")
    (there / "run/checkpoints/2.safetensors").write_bytes(b"b")
    (there / "run/checkpoints/1.safetensors").unlink()
    changes = follow(sent, there, here)
    assert [(one.name, one.start) for one in changes] == [
        ("run/metrics.jsonl", 4),
        ("run/checkpoints/2.safetensors", 0),
    ]
    assert changes[0].content == b"two\n" and content(here) == content(there)
    assert not follow(sent, there, here)


def test_a_file_that_was_cut_back_and_grew_again_is_sent_whole(there, tmp_path):
    sent, here = Sent(), tmp_path / "here"
    follow(sent, there, here)
    (there / "run/metrics.jsonl").write_bytes(b"other lines\n")
    (change,) = follow(sent, there, here)
    assert change.start == 0 and content(here) == content(there)


def test_a_checkpoint_never_comes_before_the_numbers_it_refers_to(there):
    names = [one.name for one in Sent().changes(there, reversed(names_in(there)))]
    assert names.index("run/metrics.jsonl") < names.index("run/checkpoints/1.safetensors")
    (there / "run/status.json").write_text("{}")
    assert list(Sent().changes(there, names_in(there)))[-1].name == "run/status.json"


def test_locks_and_half_files_stay_where_they_are(there):
    for name in ("run/run.lock", "run/STOP", "run/launch.json", "run/.model.x.part"):
        (there / name).write_bytes(b"")
    assert sorted(names_in(there)) == ["run/checkpoints/1.safetensors", "run/metrics.jsonl"]


def test_nothing_is_written_outside(tmp_path):
    with pytest.raises(BadInput):
        write(tmp_path / "here", [Change("../out", 0, b"x")])
    assert not (tmp_path / "out").exists()
