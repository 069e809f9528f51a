"""The zoo chooser of every lab page, and the listing of what was chosen. A server is asked once a minute at most."""

import os
from pathlib import Path

import streamlit as st
from streamlit.elements.lib.grid_container import GridContainer

from dfml.core.errors import BadInput, DfmlError
from dfml.core.texts import is_address
from dfml.ui.widgets.forms import lasting
from dfml.ui.widgets.texts import one_line_errors, plain
from dfml.zoo.listing import TeacherRow, ZooListing, own_zoo_names, read_zoo, zoo_folder, zoo_names

CONNECTED, OPENED, NEXT_ZOO = "_connected_servers", "opened_zoos", "_next_zoo"


def open_listing(reference: str) -> ZooListing:
    """Read a zoo's listing, again when its list of models changes.

    Raises:
        BadInput: As ``read_zoo``, or nothing was chosen, or a server was not asked yet, has no teachers or is gone.
    """
    if not reference:
        raise BadInput("give the path of a zoo's folder, or a server's address.")
    if is_address(reference):
        if reference not in st.session_state.get(CONNECTED, []):
            raise BadInput(f"Server {reference} has not been asked for its teachers yet: press Connect.")
        found = _ask(reference)
        if isinstance(found, str):
            raise BadInput(found)
        return found
    index = zoo_folder(reference) / "zoo.json"
    there = os.path.isfile(index)
    return _listing(reference, (index.stat().st_mtime_ns, index.parent.stat().st_mtime_ns) if there else ())


@st.cache_data(show_spinner=False, max_entries=32)
def _listing(reference: str, changed: tuple[float, ...]) -> ZooListing:
    return read_zoo(reference)


@st.cache_data(show_spinner="Asking the server for its teachers …", ttl=60, max_entries=16)
def _ask(address: str) -> ZooListing | str:
    """Return the listing, or why there is none; both are kept, so that a dead server does not hold up every click."""
    from dfml.zoo.remote.connection import RemoteConfig
    from dfml.zoo.remote.remote_zoo import RemoteZoo

    # A page waits for the answer, so a server that is gone is named soon.
    config = RemoteConfig(connect_timeout=3.0, read_timeout=8.0, deadline=15.0, retries=1)
    try:
        zoo = RemoteZoo(address, config)
    except DfmlError as error:
        return str(error)
    rows = tuple(TeacherRow(**{**dict(card), "architecture": "behind a server"}) for card in zoo.cards)
    return ZooListing(zoo.name, Path(), False, None, False, rows, zoo.problems, address)


def choose_zoo() -> str:
    """Draw the zoo chooser; the choice (a name, a path, an address or nothing) stands in the link as ``zoo``."""
    asked = st.query_params.get("zoo")
    opened = [*st.session_state.get(OPENED, []), *([asked] if asked else [])]
    names: list[str] = list(dict.fromkeys([*zoo_names(), *own_zoo_names(), *opened]))
    if NEXT_ZOO in st.session_state:
        st.session_state["zoo"] = st.session_state.pop(NEXT_ZOO)
    choice = lasting(
        st.selectbox,
        "Zoo",
        names,
        key="zoo",
        accept_new_options=True,
        placeholder="Choose a zoo, or type the path of one",
        help="An embedded zoo, or type the path of a folder that holds a zoo.json, or the address of a server that "
        "speaks the Open Inference Protocol v2, and press Enter.",
    )
    if choice and choice not in names:
        st.session_state.setdefault(OPENED, []).append(choice)
        _connect(choice)
    elif choice and is_address(choice):
        # A link alone must not make this computer call another one.
        word = "Ask the server again" if choice in st.session_state.get(CONNECTED, []) else "Connect"
        st.button(word, icon=":material/lan:", on_click=_connect, args=(choice,), help=plain(choice))
    return choice or ""


def zoo_cell(grid: GridContainer) -> ZooListing | None:
    """Draw the zoo chooser of a form; None where the chosen one cannot be read, which it says."""
    with grid.cell():
        reference = choose_zoo()
        with one_line_errors():
            return open_listing(reference)
    return None


def choose_next(reference: str) -> None:
    """Let the next script run show this zoo, and start that script run now."""
    st.session_state.setdefault(OPENED, []).append(reference)
    st.session_state[NEXT_ZOO] = reference
    st.rerun()


def _connect(address: str) -> None:
    if is_address(address):
        _ask.clear()
        st.session_state.setdefault(CONNECTED, []).append(address)
