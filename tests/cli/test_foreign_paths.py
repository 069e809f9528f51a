"""Paths that no file can have end in one line."""

import pytest

COMMANDS = ("zoo show", "zoo check", "runs show", "evaluate --data sample:cifar-fs --model", "export --out x --model")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("path", ["x" * 5000, "~nobody-here/x", "LOOP", "half\udc80"])
def test_a_path_that_cannot_be_is_one_line(dfml, tmp_path, command, path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    called = dfml(*command.split(), str(tmp_path / "loop") if path == "LOOP" else path)
    assert called.code in (1, 2)
    assert called.err.startswith("error: ") and called.err.count("\n") == 1
