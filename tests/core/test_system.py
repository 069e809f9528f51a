"""Both halves of what systems do differently; that of Windows as far as another system can run it."""

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dfml.core.paths import PACKAGE
from dfml.core.system import KILL, TERM, Posix, Windows

CHILD = "import subprocess, sys; o = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
LACKED = re.compile(
    r"^ *(import|from) (fcntl|grp|pty|pwd|resource|termios)\b"
    r"|\bos\.(chown|execv\w*|fchmod|fchown|fork\w*|getegid|geteuid|getgid|getloadavg|getpg\w+|getsid|initgroups|kill\w*|"
    r"lchown|mkfifo|mknod|nice|posix_\w+|pread|pwrite|sched_[^g]\w+|set[egpsu]\w*id|statvfs|sysconf|uname|wait\b|wait[34])\b"
    r"|\bsignal\.(alarm|pause|pthread_\w+|setitimer|sigwait\w*|SIG(ALRM|CHLD|HUP|KILL|QUIT|USR\d))\b",
    re.MULTILINE,
)
FAMILY = CHILD + "; print(o.pid, flush=True); o.wait()"


def public(system):
    found = {name: member for name, member in vars(system).items() if not name.startswith("_")}
    return {name: inspect.signature(member) for name, member in found.items()}


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def family():
    """A process that has started another one: the first, and the second's id. Both end with the test."""
    first = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE)
    second = psutil.Process(int(first.stdout.readline()))
    yield first, second.pid
    for process in (first, second):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
    first.wait()
    first.stdout.close()


def test_both_systems_offer_the_same():
    assert public(Posix) == public(Windows)


@pytest.mark.parametrize("what", ["os.getuid", "os.sched_getaffinity"])
def test_what_windows_lacks_is_asked_for_where_it_is_used(what):
    _, name = what.split(".")
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert what not in text or f'hasattr(os, "{name}")' in text, path


def test_nothing_else_that_windows_lacks_is_used():
    found = {path for path in PACKAGE.rglob("*.py") if LACKED.search(path.read_text(encoding="utf-8"))}
    assert found == {PACKAGE / "core" / "system.py"}


def test_on_windows_a_file_is_replaced_once_nobody_reads_it(tmp_path, monkeypatch):
    tries, rename = [], Path.replace

    def busy(self, target):
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(13, "it is in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    (tmp_path / "part").write_text("new")
    Windows().replace(tmp_path / "part", tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "new" and len(tries) == 3


@pytest.mark.parametrize("alone", [True, False])
def test_on_windows_a_process_is_ended_with_what_it_started_or_alone(family, alone):
    first, second = family
    assert not Windows().send(TERM, first.pid) and first.poll() is None
    assert Windows().owns_its_group(first.pid) and Windows().send(KILL, first.pid, alone=alone)
    first.wait(10)
    end = time.monotonic() + 10
    while not alone and not gone(second) and time.monotonic() < end:
        time.sleep(0.02)
    assert gone(second) != alone
    assert not Windows().send(KILL, first.pid) and not Windows().owns_its_group(first.pid)


@pytest.mark.parametrize("system", [Posix(), Windows()])
@pytest.mark.skipif(os.name == "nt", reason="Posix cannot run here")
def test_a_parent_is_watched_and_a_stranger_is_not(system):
    assert system.parent_watch(os.getppid())()
    assert system.parent_watch(os.getpid()) is None


@pytest.mark.parametrize("method", ["break_in", "stop_itself"])
def test_on_windows_the_main_thread_meets_the_wish_to_stop(method):
    met, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: met.append(number))
    try:
        getattr(Windows(), method)()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert met == [signal.SIGTERM]


def test_on_windows_a_command_ends_as_the_program_that_it_becomes():
    with pytest.raises(SystemExit) as left:
        Windows().become(
            [sys.executable, "-c", "import os, sys; sys.exit(int(os.environ['N']))"], {**os.environ, "N": "7"}
        )
    assert left.value.code == 7
