"""The errors that reach a person as one clear line."""

import difflib
from collections.abc import Iterable


class DfmlError(Exception):
    """Base of all errors with a message fit to be shown as it is."""

    exit_code = 1


class BadInput(DfmlError):
    """The user gave something that cannot be used: the message says what, and what to do."""

    exit_code = 2


class RunFailed(DfmlError):
    """A run could not go on (disk full, worker lost); what it had saved is intact.

    ``unkept`` is the message without what only a run's folder makes true: for runs whose folder is gone with them.
    """

    def __init__(self, message: str, *, unkept: str | None = None) -> None:
        super().__init__(message)
        self.unkept = unkept or message


class NotFinite(RunFailed):
    """A computation diverged; only what it computed is lost."""


class StopRequested(DfmlError):
    """Somebody asked the running work to stop."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, of Python or of torch on any device, says that memory ran out."""
    text = str(error).lower()
    told = ("out of memory", "can't allocate memory", "not enough memory")  # the last on Windows
    return isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or any(w in text for w in told)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """Return a value that was received as it stands in a message, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
