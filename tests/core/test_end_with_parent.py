"""Helpers end with the process that they work for."""

import ast
import os
import signal
import subprocess
import sys
import time

import pytest

from dfml.core.paths import REPOSITORY
from dfml.core.process import end_with_parent

POOL = """
import os, sys, time
from dfml.cluster.fan_out import in_processes

def work(number):
    open(os.path.join(sys.argv[1], f"{number}-{os.getpid()}"), "w").close()
    time.sleep(0.5)

if __name__ == "__main__":
    for _ in in_processes(work, range(400), jobs=2, what="slept"):
        pass
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="ignore") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_processes_of_a_killed_pool_do_not_go_on(tmp_path):
    script, marks = tmp_path / "pool.py", tmp_path / "marks"
    script.write_text(POOL)
    marks.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pool = subprocess.Popen([sys.executable, script, marks], env=environment)
    end = time.monotonic() + 60
    while len(list(marks.iterdir())) < 4 and time.monotonic() < end:
        time.sleep(0.05)
    workers = {int(path.name.partition("-")[2]) for path in marks.iterdir()}
    assert len(workers) == 2 and all(map(alive, workers))
    pool.send_signal(signal.SIGKILL)
    pool.wait()
    end = time.monotonic() + 15
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(alive, workers))


ASKER = """
import subprocess, sys, time
code = "import os, time; from dfml.core.process import end_with_starter; print(os.getpid(), end_with_starter(), "
code += "flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", code])
time.sleep(600)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_question_ends_with_the_server_that_asked_it():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    asker = subprocess.Popen([sys.executable, "-c", ASKER], env=environment, stdout=subprocess.PIPE, text=True)
    pid, watches = asker.stdout.readline().split()
    assert watches == "True" and alive(int(pid))
    asker.kill()
    asker.wait()
    asker.stdout.close()
    end = time.monotonic() + 15
    while alive(int(pid)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(int(pid))


def test_each_question_of_the_app_ends_with_it():
    asking = [path for path in (REPOSITORY / "dfml" / "ui").rglob("*.py") if '"-c", ' in path.read_text()]
    assert len(asking) >= 2, "the search finds none"
    for path in asking:
        assert "end_with_starter()" in path.read_text(), path


def test_whoever_gives_the_work_out_goes_on():
    assert not end_with_parent()


def test_all_work_that_is_given_to_processes_ends_with_whoever_wanted_it():
    pools = {path.name: path for path in (REPOSITORY / "dfml").rglob("*.py") if "import Parallel" in path.read_text()}
    assert pools.keys() >= {"fan_out.py"}, "the search finds none"
    for path in pools.values():
        assert "end_with_parent()" in path.read_text(), path


def test_whoever_is_sent_a_recipe_opens_it_and_so_computes_with_one_thread():
    sent = {}
    for path in (REPOSITORY / "dfml").rglob("*.py"):
        for function in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)):
            named = [a.arg for a in function.args.args if a.annotation and "WorkerArgs" in ast.unparse(a.annotation)]
            calls = {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Call)}
            for name in named:
                sent[path.parent.name, function.name] = f"{name}.open()" in calls
    assert sent.keys() >= {("jobs", "_recover_one"), ("tasks", "_recover_one")}, "the search finds none"
    assert all(sent.values()), sent
