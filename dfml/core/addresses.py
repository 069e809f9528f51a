"""Addresses of servers: told apart from paths, and what must not be kept of them."""

from __future__ import annotations

from urllib.parse import urlsplit

from dfml.core.errors import BadInput


def is_address(text: str) -> bool:
    """Whether a text is meant as a server's address rather than a path."""
    return text.strip().lower().startswith(("http://", "https://"))


def without_password(address: str) -> str:
    """Return an address as it may be written into files that are shown and shared.

    Raises:
        BadInput: It holds user and password; the message does not repeat them.
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
