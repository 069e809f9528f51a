"""A server's teachers as the pages show them. The server is asked once a minute at most."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dfml.core.errors import BadInput, DfmlError
from dfml.zoo.listing import TeacherRow, ZooListing

SECONDS = 60
PATIENCE = {"connect_timeout": 3.0, "read_timeout": 8.0, "deadline": 15.0, "retries": 1}
"""A page waits for the answer, so a server that is gone is named soon."""


def remote_listing(address: str) -> ZooListing:
    """List the teachers behind an address; they answer queries only.

    Raises:
        BadInput: No server of the protocol, none of its models is a classifier of pictures, or no answer.
    """
    found = _ask(address)
    if isinstance(found, str):
        raise BadInput(found)
    return found


def ask_again() -> None:
    """Forget what servers said."""
    _ask.clear()


@st.cache_data(show_spinner="Asking the server for its teachers …", ttl=SECONDS, max_entries=16)
def _ask(address: str) -> ZooListing | str:
    """The listing, or why there is none; both are kept, so that a dead server does not hold up every click."""
    # Needs torch.
    from dfml.zoo.remote.connection import RemoteConfig
    from dfml.zoo.remote.remote_zoo import RemoteZoo

    try:
        zoo = RemoteZoo(address, RemoteConfig(**PATIENCE))
    except DfmlError as error:
        return str(error)
    rows = tuple(
        TeacherRow(
            id=card.id,
            architecture="behind a server",
            classes=tuple(f"class {i}" for i in range(card.way)),
            named=False,
            input_size=tuple(card.input_size),
            accuracy=None,
            size=0,
            access="queries",
            source=zoo.name,
        )
        for card in zoo.cards
    )
    return ZooListing(
        name=zoo.name,
        folder=Path(),
        embedded=False,
        domain=None,
        shared_class_names=False,
        teachers=rows,
        problems=zoo.problems,
        address=address,
    )
