"""Foreign text (names, messages, answers, servers' addresses) made fit to be shown and kept."""

from urllib.parse import urlsplit

from dfml.core.errors import BadInput

_JOINERS = "\u200c\u200d"
"""Written inside words of some languages, and inside some emoji."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str, most: int = 200) -> str:
    """Return foreign text on one line, without control characters, cut to ``most`` characters."""
    kept = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text[: 4 * most])
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def for_terminal(text: str) -> str:
    r"""Return text in which nothing steers a terminal: control characters as their codes, ``\x1b``; lines stay."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown = (c if c.isprintable() or c == "\n" or c in _JOINERS else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def for_spreadsheet(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def is_address(text: str) -> bool:
    """Whether a text is meant as a server's address rather than a path."""
    return text.strip().lower().startswith(("http://", "https://"))


def without_password(address: str) -> str:
    """Return an address as it may be written into files that are shown and shared.

    ``BadInput``: it holds user and password; the message does not repeat them.
    """
    try:
        secret = urlsplit(address.strip()).username is not None
    except ValueError:
        secret = True
    if secret:
        raise BadInput(
            "the zoo's address holds a password, which would be kept in a file: leave it out of the address and give "
            "user:password@HOST in the variable DFML_REMOTE_PASSWORD."
        )
    return address.strip()
