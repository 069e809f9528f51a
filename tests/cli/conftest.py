import pytest

from dfml.cli import main


class Called:
    """What a command gave: its exit code, and its words on each channel."""

    def __init__(self, code, captured):
        self.code, self.out, self.err = code, captured.out, captured.err


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """Runs and queues of each test lie in its own folder."""
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def dfml(capsys):
    """Call the command line in this process: ``dfml("zoo", "list")``."""

    def call(*words):
        import torch

        threads = torch.get_num_threads()
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as left:
                main([str(word) for word in words])
        finally:
            torch.set_num_threads(threads)
        code = left.value.code
        return Called(0 if code is None else code, capsys.readouterr())

    return call
