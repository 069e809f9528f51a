"""Processes of work: what they are given, who is signalled, and how they end."""

import gc
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from dfml.core.errors import RunFailed, StopRequested
from dfml.core.system import SYSTEM
from dfml.runs import liveness, processes
from dfml.runs.processes import JobProcess, JobProcesses, start

SLEEP = "import time; time.sleep(60)"
OBEY = """
import subprocess, sys, time
from dfml.runs.processes import serve
def work(order, tell):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    tell(f"{order.strip()} {other.pid}")
    time.sleep(60)
serve(work)
"""


@pytest.fixture
def python():
    """Start Python in a process of work; whatever is left at the end is killed."""
    running = []

    def begin(code, **places):
        running.append(start([sys.executable, "-c", code], {}, **places))
        return running[-1]

    yield begin
    for each in running:
        each.kill()
        each.wait()


def ended(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_process_leads_its_session_finds_the_program_and_names_a_crash(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import dfml, os, faulthandler as f; print(os.getsid(0) == os.getpid(), f.is_enabled(), os.environ['MINE'])"
    pipe = subprocess.PIPE
    process = start([sys.executable, "-c", code], {"MINE": "ü"}, stdout=pipe, cwd=tmp_path)
    assert process.communicate()[0].decode() == "True True ü\n"


def test_a_signal_reaches_the_group_or_the_process_alone_and_none_that_is_gone(python, tools):
    code = f"import subprocess, sys; o = subprocess.Popen([sys.executable, '-c', '{SLEEP}']); print(o.pid); o.wait()"
    for alone in (True, False):
        first = python(code, stdout=subprocess.PIPE)
        second = int(first.stdout.readline())
        assert SYSTEM.send(signal.SIGKILL, first.pid, alone=alone)
        first.wait()
        if alone:
            assert not ended(second)
            os.kill(second, signal.SIGKILL)
        tools.wait_for(lambda second=second: ended(second))
    lonely = python("")
    lonely.wait()
    assert not SYSTEM.send(signal.SIGKILL, lonely.pid) and not SYSTEM.send(signal.SIGKILL, lonely.pid, alone=True)


def test_a_number_that_may_be_another_s_is_not_killed(monkeypatch):
    crew = JobProcesses()
    child = JobProcess("a", start([sys.executable, "-c", ""], {}))
    crew.running.append(child)
    token = liveness.start_token(child.process.pid)
    while liveness.is_alive(child.process.pid, token):
        time.sleep(0.01)
    assert child.process.returncode is None, "not collected yet"
    crew.end(child)
    assert child.process.returncode is not None and not crew.running
    monkeypatch.setattr(SYSTEM, "send", lambda *_: pytest.fail("its number is free"))
    crew.end(child)


def test_a_process_without_an_outcome_failed_with_its_last_words():
    with pytest.raises(RunFailed, match="its process died with exit code 3; its last words: SystemError: lost"):
        code = "import sys; print('SystemError: lost', file=sys.stderr); sys.exit(3)"
        JobProcesses().do("a", [sys.executable, "-c", code], "order")


def test_an_outcome_arrives_also_where_lines_end_as_on_windows():
    code = r"""
import os
from dfml.runs.processes import serve
opened = os.fdopen
os.fdopen = lambda handle, mode, **how: opened(handle, mode, **{"newline": "\r\n", **how})
serve(lambda order, tell: order.strip())
"""
    assert JobProcesses().do("a", [sys.executable, "-c", code], "order") == "order"


def test_no_pipe_is_left_open(recwarn):
    gc.collect()  # what other tests left
    recwarn.clear()
    code = """print('{"outcome": 1}')"""
    assert [JobProcesses().do("a", [sys.executable, "-c", code], "order") for _ in range(3)] == [1, 1, 1]
    gc.collect()
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]


def test_after_a_stop_nothing_is_started(monkeypatch):
    crew = JobProcesses()
    crew.stop()
    monkeypatch.setattr(processes, "start", lambda *_: pytest.fail("it was stopped"))
    with pytest.raises(StopRequested):
        crew.do("a", [sys.executable], "order")


def test_the_death_of_the_asker_ends_the_process_and_what_it_started(python, tools):
    asker = f"""
import sys, threading, time
from dfml.runs.processes import JobProcesses
crew = JobProcesses()
threading.Thread(target=crew.do, args=("a", [sys.executable, "-c", {OBEY!r}], "order"), daemon=True).start()
while not (crew.running and crew.running[0].text):
    time.sleep(0.01)
print(crew.running[0].process.pid, crew.running[0].text, flush=True)
time.sleep(60)
"""
    process = python(asker, stdout=subprocess.PIPE)
    pid, order, other = process.stdout.readline().decode().split()
    assert order == "order" and not ended(int(pid)) and not ended(int(other))
    SYSTEM.send(signal.SIGKILL, process.pid)
    tools.wait_for(lambda: ended(int(pid)) and ended(int(other)))
