"""What the command line prints, and where."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NoReturn

console = sys.stderr


def say(text: str) -> None:
    """Print a line for people (stderr)."""
    print(text, file=sys.stderr, flush=True)


def fail(message: str, code: int, as_json: bool) -> NoReturn:
    """Print one line and exit."""
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps({"error": line}), flush=True)
    raise SystemExit(code)


def answer(value: dict[str, Any], as_json: bool, text: str = "") -> None:
    """Print the result: one JSON object as the last line of stdout, or text for people."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False), flush=True)
    elif text:
        print(text, flush=True)


def percent(value: float | None) -> str:
    """A fraction as per cent, or a dash."""
    return "–" if value is None else f"{100 * value:.2f} %"


def table(rows: list[list[str]], header: list[str]) -> str:
    """Plain columns for a terminal."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [header, *rows]]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


class Bar:
    """A progress bar on stderr: redrawn in place on a terminal, a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.started = time.monotonic()
        self.shown = 0.0
        self.terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Show ``done`` of ``total``."""
        now = time.monotonic()
        last = done >= total
        if not last and now - self.shown < (0.2 if self.terminal else 15):
            return
        self.shown = now
        left = (now - self.started) / max(1, done) * (total - done)
        line = f"{self.what} {done}/{total} {text} ({left:.0f} s left)" if not last else f"{self.what} {done}/{total}"
        if self.terminal:
            print(f"\r\x1b[2K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            say(line)
