"""The script of what only a GPU can tell, here on the CPU."""

import json
import subprocess
import sys

from dfml.core.paths import REPOSITORY


def measure(out, *words):
    command = [sys.executable, "benchmarks/on_gpu.py", "--out", str(out), "--device", "cpu", "--parts", "precision"]
    return subprocess.run([*command, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_a_part_is_measured_once_and_a_call_without_time_is_to_be_given_again(tmp_path):
    assert measure(tmp_path, "--minutes", "0").returncode == 75 and not list(tmp_path.iterdir())
    first = measure(tmp_path, "--steps", "1")
    assert first.returncode == 0, first.stderr
    single, half = json.loads(json.loads((tmp_path / "precision.done.json").read_text())["said"])
    assert (single["bf16"], half["bf16"]) == (False, True) and single["steps"] == half["steps"] == 1
    assert 0 <= half["teacher_accuracy"] <= 1
    again = measure(tmp_path, "--minutes", "0")
    assert again.returncode == 0 and not again.stdout
