"""What the environment asks of the tests arrives: in this process, in those that it starts, in a run's worker."""

import json
import os
import subprocess
import sys

import pytest
import torch

from dfml.core.paths import REPOSITORY
from dfml.runs.spec import default_threads, read_spec
from tests import conditions

ASKED = """
import json, os, sys, torch
found = [int(os.environ["OMP_NUM_THREADS"]), torch.get_num_threads()]
from dfml.nets.device import use_threads
print(json.dumps([*found, use_threads()]), flush=True)
from dfml.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def threads_in_a_fixture():
    return torch.get_num_threads()


def test_this_process_takes_the_threads_that_were_asked_for(threads_in_a_fixture):
    asked = int(os.environ.get("DFML_TEST_THREADS") or 1)
    assert threads_in_a_fixture == torch.get_num_threads() == conditions.threads() == asked
    torch.set_num_threads(asked + 1)  # as a run in this process may; the next test must not see it


def test_what_another_test_set_is_gone():
    assert torch.get_num_threads() == conditions.threads()


def test_processes_that_tests_start_take_them_too(tiny_zoo_folder, tmp_path):
    """The number that was asked for, torch's own, and what a command or a worker takes: at most one a core."""
    small = ["--teacher", "0", "--per-class", "1", "--set", "steps=1", "--out", tmp_path / "run"]
    command = [sys.executable, "-c", ASKED, "invert", "--zoo", tiny_zoo_folder, "--method", "pixels", *small]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked, own, taken = json.loads(done.stdout.splitlines()[0])
    assert asked == conditions.threads() and taken == min(asked, cores)
    assert own in (asked, taken), "torch takes all that it is told, since 2.14 at most one a core"
    assert read_spec(tmp_path / "run").threads == default_threads() <= conditions.threads()


@pytest.mark.slow
def test_another_number_arrives():
    chosen = ["-n", "0", "-p", "no:cacheprovider", "-k", "this_process or gone or processes"]
    command = [sys.executable, "-m", "pytest", "-q", __file__, *chosen]
    environment = {**os.environ, "DFML_TEST_THREADS": "3" if conditions.threads() == 2 else "2"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("name", "text"), [("DFML_TEST_THREADS", "two"), ("DFML_TEST_THREADS", "9999"), ("DFML_TEST_SEED", "-1")]
)
def test_what_is_no_such_number_is_refused_in_one_line(name, text):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--collect-only", __file__]
    environment = {**os.environ, name: text}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == pytest.ExitCode.USAGE_ERROR and name in line and repr(text) in line


def test_a_seed_is_added_to_the_tests_own(monkeypatch):
    monkeypatch.setenv("DFML_TEST_SEED", "3")
    assert (conditions.seed(), conditions.seed(7)) == (3, 10)
    monkeypatch.delenv("DFML_TEST_SEED")
    assert (conditions.seed(), conditions.seed(7)) == (0, 7)
