"""Foreign text (names, messages, answers) made fit to be shown."""

from __future__ import annotations

_JOINERS = "\u200c\u200d"
"""Written inside words of some languages, and inside some emoji."""


def printable(text: str, most: int = 200) -> str:
    """Foreign text on one line, without control characters, cut to ``most`` characters."""
    kept = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text[: 4 * most])
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def for_terminal(text: str) -> str:
    r"""Text in which nothing steers a terminal: control characters stand as their codes, ``\x1b``; lines stay."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown = (c if c.isprintable() or c == "\n" or c in _JOINERS else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)
