"""The three phases of a training, told from what its run has written: recovering, learning, testing."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from dfml.runs.status import RunStatus
from dfml.ui.widgets.texts import percent

RECOVERING_OPTIONS = ("warm_start", "pixel_lr", "inverter", "generator_lr", "recovered")
"""Options of methods that recover images."""
TESTING = "testing"


class Phase(NamedTuple):
    """A phase, the share of it that is done, in [0, 1], and what it is doing; ``none``: this run has no such phase."""

    name: str
    share: float
    state: Literal["waiting", "now", "done", "stopped", "none"]
    text: str


def recovers(config: Mapping[str, Any], scalars: Mapping[str, Any]) -> bool:
    """Whether images are recovered: by an option that only such methods have, or by a number that it reported."""
    return any(name in config for name in RECOVERING_OPTIONS) or any(name.startswith("inversion/") for name in scalars)


def is_testing(status: RunStatus) -> bool:
    """Whether a run that works has come to its test: its progress then counts episodes."""
    return (status.text or "").startswith(TESTING)


def length(config: Mapping[str, Any], status: RunStatus, scalars: Mapping[str, Any]) -> int:
    """Return the iterations of the whole training; 0 where they are not known."""
    iterations = config.get("iterations")
    if isinstance(iterations, int) and iterations > 0:
        return iterations
    if is_testing(status) or not status.total:
        return max((steps[-1] for steps, _ in scalars.values() if len(steps)), default=0)
    return status.total


def phases(
    status: RunStatus, config: Mapping[str, Any], scalars: Mapping[str, Any], result: Mapping[str, Any] | None
) -> list[Phase]:
    """Return the three phases as they are now."""
    total, testing, finished = length(config, status, scalars), is_testing(status), status.state == "finished"
    ended, working = testing or finished, status.state in ("running", "stopping")
    step = total if ended else min(status.step or 0, total or 0)
    # What has another length comes before the iterations, such as recoveries by which teachers are compared.
    preparing = working and not ended and bool(status.total) and total not in (0, status.total)
    if preparing:
        step = 0
    alone = config.get("warm_start")
    alone = min(alone, total) if isinstance(alone, int) and alone > 0 else 0
    learned = 1.0 if ended else max(0, step - alone) / (total - alone) if total > alone else 0.0
    learning = _phase("Learning", learned, working and step >= alone and not (ended or preparing), ended, status)
    if not recovers(config, scalars):
        first = Phase("Recovering", 0.0, "none", "no images: weights or features alone")
    elif preparing:
        share = min(1.0, (status.step or 0) / (status.total or 1))
        first = Phase("Recovering", share, "now", f"preparing, {100 * share:.0f} %")
    elif alone:
        first = _phase("Recovering", 1.0 if ended else min(1.0, step / alone), working and step < alone, ended, status)
        if working and alone <= step and not ended:
            first = first._replace(state="done", text="continues")
    else:
        first = learning._replace(name="Recovering")
    if finished:
        tested = result is not None and result.get("test_accuracy") is not None
        last = (
            Phase("Testing", 1.0, "done", _measured(result)) if tested else Phase("Testing", 0.0, "none", "no classes")
        )
    else:
        share = (status.step or 0) / status.total if testing and status.total else 0.0
        last = _phase("Testing", min(1.0, share), testing and working, False, status)
    return [first, learning, last]


def _phase(name: str, share: float, now: bool, done: bool, status: RunStatus) -> Phase:
    if done or (share >= 1 and not now):
        return Phase(name, 1.0, "done", "done")
    if now:
        return Phase(name, share, "now", f"{100 * share:.0f} %")
    if share > 0:
        return Phase(name, share, "stopped", f"{status.state} at {100 * share:.0f} %")
    return Phase(name, 0.0, "waiting", "comes later" if status.active else "not reached")


def _measured(result: Mapping[str, Any] | None) -> str:
    return f"{percent((result or {}).get('test_accuracy'))} on new classes"
