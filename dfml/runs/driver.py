"""Does a run, in this process: the same for the worker, the command line and a notebook."""

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dfml.core.errors import BadInput, DfmlError, RunFailed, StopRequested, is_out_of_memory
from dfml.core.events import Checkpoint, Done, Event, Note, Progress, SafePoint
from dfml.core.paths import PLACES, given_path, raise_if_disk_full, write_json
from dfml.runs import liveness
from dfml.runs.device_lock import device_key, device_of, take_turns
from dfml.runs.folder import CHECKPOINTS, LOCK, RESULT, RunFolder
from dfml.runs.metrics import finite
from dfml.runs.recorder import Listener, Recorder
from dfml.runs.spec import JobContext, RunSpec
from dfml.runs.status import LOG, STOP, live_status, read_raw, write_raw
from dfml.runs.stopping import Keeping, StopSwitch


def run_in_process(
    target: RunSpec | RunFolder | Path | str,
    *,
    resume: bool = False,
    path: Path | str | None = None,
    on_event: Listener | None = None,
) -> dict[str, Any]:
    """Do a run to its end, or until it is stopped (STOP file, SIGTERM, Ctrl-C); return what ``result.json`` holds.

    Args:
        target: A spec, for which a folder is made, or the folder of a run.
        resume: Go on with a run that stopped, failed or crashed; one that is finished is left alone.
        path: With a spec, the run's folder instead of a new one below ``runs_root()``.
        on_event: Told every event, and what the run waits for.

    Raises:
        BadInput: The spec is not valid, or the run is going on already.
        RunFailed: It failed; ``status.json`` says why, and what was saved is intact.
    """
    if isinstance(target, RunSpec):
        folder = RunFolder.create(target, path=path)
    else:
        folder = target if isinstance(target, RunFolder) else RunFolder(given_path(target))
    if resume and folder.status().state == "finished":
        if on_event:
            on_event(Note(0, f"run {folder.name} is finished already: nothing to do.", "resume"))
        return folder.result() or _outcome(folder, "finished")
    with holding(folder):
        queue_run(folder, resume=resume)
        return drive(folder, on_event)


@contextmanager
def holding(folder: RunFolder) -> Iterator[None]:
    """Hold a run's folder, so that no other process works on it; ``BadInput`` where another process does."""
    if not folder.path.is_dir():
        raise BadInput(f"no run at {folder.path}: give the folder of a run.")
    lock = FileLock(folder.path / LOCK)
    try:
        # The launcher holds it only for the moment in which it queues the run.
        lock.acquire(timeout=2.0, poll_interval=0.02)
    except Timeout:
        raise BadInput(f"run {folder.name} is going on already: stop it first, or wait.") from None
    except OSError as error:
        raise BadInput(f"cannot use the run's folder {folder.path}: {error.strerror}.") from None
    try:
        yield
    finally:
        lock.release()


def queue_run(folder: RunFolder, *, resume: bool) -> float:
    """Write "queued" into a held folder, and take an old STOP away; return the time, seconds since 1970.

    ``BadInput`` where the run is going on, finished, or was started before and ``resume`` is False.
    """
    _ = folder.spec
    raw = read_raw(folder.path) or {}
    if raw.get("state") != "queued" or raw.get("queued"):  # no new one
        state = live_status(folder.path).state
        if state in ("queued", "running", "stopping"):
            raise BadInput(f"run {folder.name} is going on already ({state}): stop it first, or wait.")
        if state == "finished":
            raise BadInput(f"run {folder.name} is finished already: there is nothing to resume.")
        if not resume:
            raise BadInput(f"run {folder.name} was started before ({state}): resume it, or start a new one.")
    (folder.path / STOP).unlink(missing_ok=True)
    now = time.time()
    kept = {key: raw.get(key) for key in ("started", "seconds", "step", "total", "device", "device_reason")}
    if not write_raw(folder.path, {**kept, "state": "queued", "text": "starting", "queued": now, "updated": now}):
        said = f"cannot write in {folder.path}: free some disk space"
        raise RunFailed(f"{said}, then resume the run.", unkept=f"{said}.")
    return now


def drive(folder: RunFolder, on_event: Listener | None = None, *, foreground: bool = True) -> dict[str, Any]:
    """Do a queued run whose folder this process holds; see ``run_in_process``."""
    spec, pid = folder.spec, os.getpid()
    raw = {**(read_raw(folder.path) or {}), "state": "queued", "error": None, "pid": pid}
    raw |= {"process": liveness.start_token(pid), "host": liveness.HOST, "foreground": foreground}
    tell = on_event or (lambda event: None)
    if spec.kind == "train" and spec.cluster and PLACES not in os.environ:
        from dfml.runs.remote.following import follow

        found = follow(folder, raw, tell, one_line)
        return _outcome(folder, "stopped") if found is None else found
    with StopSwitch(folder.path, worker=not foreground) as stop, Recorder(folder.path, raw) as recorder:
        recorder.log(f"{spec.kind} {spec.method}, process {pid}")
        try:
            with _device_for(folder, recorder, stop, tell) as (device, reason):
                recorder.begin(device=str(device), device_reason=reason)
                values = _work(folder, device, recorder, stop, tell)
            stop.settle()
            result = _outcome(folder, "finished", recorder, values)
            write_json(folder.path / RESULT, result)
            recorder.log(f"finished after {recorder.seconds:.1f} s")
            recorder.set_status(state="finished", text="", error=None)
            return result
        except (StopRequested, KeyboardInterrupt):
            stop.settle()
            recorder.log("stopped on request")
            recorder.set_status(state="stopped", text="stopped on request")
            return _outcome(folder, "stopped", recorder)
        except Exception as error:
            stop.settle()
            clear = one_line(error, folder)
            if not isinstance(error, DfmlError):
                recorder.log(traceback.format_exc())
            recorder.log(f"failed: {clear}")
            recorder.set_status(state="failed", error=str(clear))
            raise clear from error


@contextmanager
def _device_for(folder: RunFolder, recorder: Recorder, stop: StopSwitch, tell: Listener) -> Iterator[tuple[Any, str]]:
    """Wait for the device, then yield it and the reason for it."""
    spec, wanted = folder.spec, device_of(folder.spec)

    def told(waiting: str) -> None:
        recorder.set_status(state="queued", text=waiting)
        tell(Progress(0, 0, waiting))

    recorder.set_status()
    device = wanted
    if device_key(wanted) is None:
        device = str(prepare(spec, wanted)[0])
        recorder.set_status(device=device)  # later ones for another device need not wait any more
    with take_turns(device, folder.name, told, check=stop.check, run=folder):
        stop.check()
        yield prepare(spec, wanted)


def prepare(spec: RunSpec, wanted: str) -> tuple[Any, str]:
    """Import torch, set its threads, and pick the device; return (device, reason)."""
    from dfml.nets.device import pick_device, use_threads

    if spec.threads:
        use_threads(spec.threads)
    return pick_device(wanted)


def _work(
    folder: RunFolder,
    device: Any,  # noqa: ANN401 - torch is not imported here
    recorder: Recorder,
    stop: StopSwitch,
    tell: Listener,
) -> dict[str, Any]:
    """Do the job of the run's kind and file its events; return its result."""
    from dfml.runs.jobs import JOBS

    spec, keeping = folder.spec, Keeping()

    def emit(event: Event) -> None:
        if isinstance(event, SafePoint):
            keeping.meet()
            stop.safe_point_ahead = True
            if not (stop.wanted() or keeping.due()):
                return
            event = Checkpoint(event.step, event.state())
        kept = isinstance(event, Checkpoint)
        with keeping.keeping() if kept else nullcontext():
            recorder.record(event, context.tag)
        tell(event)
        stop.check(kept=kept)

    context = JobContext(spec, folder.path, device, recorder.rewind(), emit)
    with closing(JOBS[spec.kind](context)) as events:
        for event in events:
            if isinstance(event, Done):
                return dict(event.result)
            emit(event)
    raise RunFailed(f"{spec.kind} {spec.method!r} ended without a result.")


def _outcome(
    folder: RunFolder, state: str, recorder: Recorder | None = None, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    spec, status = folder.spec, read_raw(folder.path) or {}
    seconds = recorder.seconds if recorder else float(status.get("seconds") or 0)
    frame = {
        "run": str(folder.path),
        "kind": spec.kind,
        "method": spec.method,
        "zoo": spec.zoo,
        "state": state,
        "model": None,
        "seconds": round(seconds, 3),
        "device": status.get("device"),
        "threads": spec.threads,
        "seed": spec.seed,
    }
    return finite({**frame, **(values or {})})


def one_line(error: Exception, folder: RunFolder) -> DfmlError:
    """Return the error as one clear line for a person."""
    if isinstance(error, DfmlError):
        return error
    try:
        raise_if_disk_full(error, Path(getattr(error, "filename", None) or folder.path / CHECKPOINTS))
    except RunFailed as full:
        return full
    name, text = type(error).__name__, " ".join(str(error).split())[:300]
    if is_out_of_memory(error):
        said = f"out of memory ({text}): choose fewer images or tasks, or another device"
        return RunFailed(f"{said}, then resume.", unkept=f"{said}.")
    said = f"{name}: {text or 'no message'}"
    return RunFailed(f"{said} (the whole report is in {LOG}).", unkept=f"{said}.")
