"""Starting, stopping, resuming and deleting runs from a server that must never wait for them."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from dfml.core.errors import BadInput, RunFailed
from dfml.core.paths import STUDIO, runs_root, write_json
from dfml.core.system import KILL, SYSTEM, TERM
from dfml.runs import liveness, processes
from dfml.runs.driver import holding, queue_run
from dfml.runs.folder import CHECKPOINTS, IMAGES, LOCK, MODEL, RECOVERED, RESULT, START, RunFolder
from dfml.runs.lab.run_notes import NOTES
from dfml.runs.metrics import METRICS
from dfml.runs.recorded import refuse_recorded
from dfml.runs.spec import SPEC, RunSpec
from dfml.runs.status import LAUNCH, LOG, STATUS, STOP, live_status, read_raw, write_raw

WORKER = [sys.executable, "-m", "dfml.runs.worker"]
TERMINATE_SECONDS = 8.0
KILL_SECONDS = 25.0
_FILES = (SPEC, STATUS, LAUNCH, STOP, LOG, METRICS, RESULT, NOTES)
_FOLDERS = (IMAGES, CHECKPOINTS, MODEL, RECOVERED, START, "zoo")

Target = RunFolder | Path | str


def start(spec: RunSpec, path: Path | str | None = None) -> RunFolder:
    """Make a run's folder (else ``BadInput``) and start its worker (else ``RunFailed``); returns at once."""
    folder = RunFolder.create(spec, path=path)
    _launch(folder, resume=False)
    return folder


def resume(target: Target) -> RunFolder:
    """Start a worker that goes on from the run's last checkpoint; ``BadInput`` where there is nothing to go on with."""
    folder = RunFolder(target)
    refuse_recorded(folder.path, "gone on with")
    if folder.status().active:
        raise BadInput(f"run {folder.name} is going on already: stop it first, or wait.")
    _launch(folder, resume=True)
    return folder


def stop(target: Target) -> None:
    """Ask a run to stop, and return at once; where it was asked before, ``escalate``."""
    if live_status(RunFolder(target).path).state == "stopping":
        escalate(target)
    else:
        request_stop(target)


def request_stop(target: Target) -> None:
    """Write the STOP file: the run ends at its next safe point. ``BadInput`` where it is not going on."""
    folder = RunFolder(target)
    status = live_status(folder.path)
    if not status.active:
        raise BadInput(f"run {folder.name} is not going on (it is {status.state}): there is nothing to stop.")
    try:
        (folder.path / STOP).touch()
    except OSError as error:
        # A full disk must not keep anybody from stopping what fills it.
        if not _signal(folder, TERM):
            raise RunFailed(f"cannot stop run {folder.name}: {error.strerror}.") from None


def escalate(target: Target) -> str:
    """Be firmer with a run that was asked to stop, by how long ago that was; return at once what was done.

    That is "" (nothing, or it has ended), "SIGTERM" or "SIGKILL".
    """
    folder = RunFolder(target)
    try:
        waited = time.time() - (folder.path / STOP).stat().st_mtime
    except OSError:
        return ""
    firmer = KILL if waited > KILL_SECONDS else TERM
    if waited <= TERMINATE_SECONDS or not live_status(folder.path).active or not _signal(folder, firmer):
        return ""
    return "SIGKILL" if firmer == KILL else "SIGTERM"


def stop_and_wait(target: Target, timeout: float = 40.0) -> bool:
    """Stop a run and wait for its end, escalating; return whether it has ended."""
    folder = RunFolder(target)
    request_stop(folder)
    end, firmer = time.monotonic() + timeout, time.monotonic() + TERMINATE_SECONDS
    while live_status(folder.path).active:
        if time.monotonic() > end:
            return False
        if time.monotonic() > firmer:
            escalate(folder)
            firmer += 4.0
        time.sleep(0.1)
    return True


def delete(target: Target) -> None:
    """Remove a run that is not going on. In a folder given by ``--out`` only the run's own files go.

    ``BadInput`` where the run is going on or ships with the program, or the folder is no run's.
    """
    folder = RunFolder(target)
    path = folder.path
    refuse_recorded(path, "deleted")
    if not (path / SPEC).exists() and not (path / STATUS).exists():
        raise BadInput(f"{path} is no run's folder: nothing was deleted.")
    if folder.status().active:
        raise BadInput(f"run {folder.name} is going on: stop it before you delete it.")
    with holding(folder):
        try:
            whole = path.resolve().parent == runs_root().resolve()
            for name in set(os.listdir(path)) - {LOCK} if whole else (*_FILES, *_FOLDERS):
                if (path / name).is_dir() and not (path / name).is_symlink():
                    shutil.rmtree(path / name)
                else:
                    (path / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunFailed(f"cannot delete all of {path}: {error.strerror}.") from None
    with suppress(OSError):
        (path / LOCK).unlink(missing_ok=True)  # only now: Windows removes no file that is open
        path.rmdir()


def _launch(folder: RunFolder, *, resume: bool) -> None:
    with holding(folder):
        queued = queue_run(folder, resume=resume)
    try:
        with (folder.path / LOG).open("ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            child = processes.start([*WORKER, str(folder.path)], {}, cwd=STUDIO, **streams)
    except OSError as error:
        reason = f"the worker of run {folder.name} cannot be started: {error.strerror}."
        write_raw(folder.path, {**(read_raw(folder.path) or {}), "state": "failed", "error": reason})
        raise RunFailed(reason) from None
    token = liveness.adopt(child)
    # For the moment before the worker speaks for itself.
    with suppress(RunFailed, OSError):
        write_json(folder.path / LAUNCH, {"pid": child.pid, "process": token, "host": liveness.HOST, "queued": queued})


def _signal(folder: RunFolder, number: int) -> bool:
    """Signal the run's worker, with its children where it has a group of its own."""
    raw = read_raw(folder.path) or {}
    pid = raw.get("pid")
    if pid is None or raw.get("host") != liveness.HOST or not liveness.is_alive(pid, raw.get("process")):
        return False
    return SYSTEM.send(number, pid, alone=raw.get("foreground") or not SYSTEM.owns_its_group(pid))
