"""What the command line prints, and where."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NoReturn, TextIO

from dfml.core.texts import for_terminal
from dfml.core.time_left import TimeLeft, in_words

STOPPED = 130
"""The exit code of a command that was stopped: a shell gives it for Ctrl-C."""
_answers: TextIO | None = None


def take_any_text() -> None:
    r"""Let stdout and stderr take any text; what their encoding lacks is written as an escape, such as ``\u732b``.

    A file or a pipe may be in a narrow encoding (cp1252, cp932), and a class may be called anything: the result of
    hours must not end in a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


@contextmanager
def only_answers(wanted: bool) -> Iterator[None]:
    """Keep stdout for answers: whatever a library prints goes to stderr."""
    global _answers  # as global as the stdout that it stands for
    if not wanted:
        yield
        return
    _answers = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _answers = None


def say(text: str) -> None:
    """Print a line for people (stderr)."""
    print(for_terminal(text), file=sys.stderr, flush=True)


def fail(message: str, code: int, as_json: bool) -> NoReturn:
    """Print one line and exit."""
    line = for_terminal(" ".join(message.split()))
    print(f"error: {line}", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps({"error": line}), flush=True)
    raise SystemExit(code)


def answer(value: dict[str, Any], as_json: bool, text: str = "") -> None:
    """Print the result: one JSON object as the last line of stdout, or text for people."""
    if as_json:
        print(json.dumps(value), file=_answers, flush=True)
    elif text:
        print(for_terminal(text), flush=True)


def fine_percent(value: float | None) -> str:
    """Return a fraction as ``83.42 %``, or a dash where there is none."""
    return "–" if value is None else f"{100 * value:.2f} %"


def told_difference(found: dict[str, Any] | None) -> list[str]:
    """Return a difference of two results in points, its interval, and whether it is paired, for a table."""
    if found is None:
        return ["–", "–", "has no such row"]
    half = found["difference_ci95"]
    return [f"{100 * found['difference']:+.2f}", "–" if half is None else f"{100 * half:.2f}", found["pairing"]]


def table(rows: list[list[str]], header: list[str]) -> str:
    """Return plain columns for a terminal."""
    rows = [[for_terminal(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


class Bar:
    """A progress bar on stderr: redrawn in place on a terminal, a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.left = TimeLeft()
        self.shown = 0.0
        self.terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Show ``done`` of ``total``, which is 0 where nobody knows yet: then the text alone says what goes on."""
        now = time.monotonic()
        self.left.see(done, total, now)
        last = 0 < total <= done
        if not last and now - self.shown < (0.2 if self.terminal else 15):
            return
        self.shown = now
        line, left = f"{self.what} {done}/{total}", self.left.range(now)
        if not total:
            line = f"{self.what}: {text or 'starting'}"
        elif not last:
            line += f" {text} ({in_words(left)} left)" if left else f" {text} (estimating time left)"
        if self.terminal:
            print(f"\r\x1b[2K{for_terminal(line)}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            say(line)
