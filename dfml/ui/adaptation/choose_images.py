"""Choosing the support and query images: an example set, or the reader's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.core.paths import ASSETS, read_json
from dfml.data.class_folders import list_classes
from dfml.ui.adaptation.uploads import QUERY, UploadSet, is_token, new_token
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.widgets.forms import lasting
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, plain, spaced

Classes = dict[str, list[Path]]
"""Files by class name."""
SOURCES = {"example": "Example set", "own": "My own pictures"}
FIRST_SET = "living-things"


@dataclass(frozen=True)
class Chosen:
    """Images to adapt to, by class, and to classify, each with its class (empty where unknown).

    ``missing`` says in one line what is missing; empty when all is there. ``store`` is where the reader's own lie.
    """

    support: Classes = field(default_factory=dict)
    query: list[tuple[str, Path]] = field(default_factory=list)
    missing: str = ""
    about: str = ""
    store: UploadSet | None = None

    @property
    def known(self) -> int:
        """Query images whose class is known, and is one of the support set."""
        return sum(label in self.support for label, _ in self.query)


def choose_pictures(cells: Sequence[DeltaGenerator]) -> Chosen:
    """Draw what chooses them into two cells of the page's head."""
    text = "The support set shows the model its new classes; the query images are the ones that it classifies."
    look = {"default": "example", "required": True, "help": text, "format_func": SOURCES.get}
    source = lasting(cells[0].segmented_control, "Pictures", list(SOURCES), key="source", **look)
    return own_pictures() if source == "own" else _example(cells[1])


def _example(cell: DeltaGenerator) -> Chosen:
    names = example_names()
    if not names:
        return Chosen(missing="No example sets are embedded here: choose your own pictures above.")
    name_cell, shots_cell = cell.columns([3, 2])
    name = lasting(name_cell.selectbox, "Example set", names, key="set")
    with one_line_errors(stop=True):
        about, every, asked = read_example(name)
    most = max(1, min(len(files) for files in every.values()))
    text = "Support images per class: 1-shot, 5-shot, …"
    shots = shots_cell.number_input("Shots", 1, most, min(5, most), key="shots", bind="query-params", help=text)
    support = {label: files[: int(shots)] for label, files in every.items()}
    # The classes take turns, so that the first tiles show all of them.
    rounds = zip_longest(*([(label, file) for file in files] for label, files in asked.items()))
    query = [pair for one_of_each in rounds for pair in one_of_each if pair]
    return Chosen(support, query, about=about)


def draw_support(chosen: Chosen) -> None:
    """Draw the support set of an example, a row a class."""
    if not chosen.support:
        empty_state("No example sets", chosen.missing, icon=":material/photo_library:")
        return
    st.header("Learns from", anchor=False)
    with st.container(gap="xsmall"):
        for place, (label, files) in enumerate(chosen.support.items()):
            st.markdown(plain(label))
            alt = f"{counted(len(files), 'support image')} of {label}"
            tile_grid(files, key=f"support:{place}", alt=alt, side=60, columns=max(5, len(files)), pick=False)
    st.caption(plain(chosen.about))


def own_pictures() -> Chosen:
    """Return what the reader has brought; the set stands in the link."""
    token = st.query_params.get("pictures")
    if not is_token(token):
        token = st.session_state.get("_pictures") or new_token()
        st.query_params["pictures"] = token
    st.session_state["_pictures"] = token
    store = UploadSet(token)
    _wait_for(store)
    clean = [same(name.strip()) for name in store.names()]
    support = {name: store.pictures(slot) for slot, name in enumerate(clean)}
    truths = {file: same(label.strip()) for file, label in store.truths().items()}
    query = [(truths.get(path.name, ""), path) for path in store.pictures(QUERY)]
    missing = ""
    if len(support) < len(clean):
        twice = next(name for name in clean if clean.count(name) > 1)
        missing = f"Two classes are called {twice!r}: give each its own name."
    elif empty := [name for name, files in support.items() if not files]:
        missing = f"Add at least one image of {' and of '.join(empty)}."
    elif not query:
        missing = "Add the query images that the model is to classify."
    return Chosen(support, [(label if label in support else "", path) for label, path in query], missing, store=store)


def _wait_for(store: UploadSet) -> None:
    if not store.busy.acquire(timeout=0.3):
        note = st.empty()
        note.caption(":material/hourglass_top: The pictures are being stored …")
        with store.busy:
            pass
        note.empty()
    else:
        store.busy.release()


def example_names() -> list[str]:
    """Return the names of the example sets, the one to begin with first."""
    root = ASSETS / "support-sets"
    found = [p.name for p in root.iterdir() if (p / "support").is_dir()] if root.is_dir() else []
    return sorted(found, key=lambda name: (name != FIRST_SET, name))


def example_folder(name: str) -> Path:
    """Return where an example set lies."""
    return ASSETS / "support-sets" / name


def read_example(name: str) -> tuple[str, Classes, Classes]:
    """Return what an example set shows, its support images and its query images.

    Raises:
        BadInput: There is none of that name, or fewer than two classes have images.
    """
    if name not in example_names():
        raise BadInput(f"no example set {name!r}; there are: {', '.join(example_names()) or 'none'}.")
    folder = example_folder(name)
    about = read_json(folder / "set.json", f"set {name}") if (folder / "set.json").is_file() else {}
    support = _classes(folder / "support")
    if len(support) < 2:
        raise BadInput(f"example set {name!r} has {len(support)} classes with images, at least 2 are needed.")
    note = " ".join(str(about[key]) for key in ("description", "credit") if about.get(key))
    title = str(about.get("title") or name.replace("-", " "))
    return f"{title}. {note}", support, _classes(folder / "query")


def _classes(folder: Path) -> Classes:
    found = list_classes(folder).classes if folder.is_dir() else {}
    return {spaced(name): files for name, files in found.items()}
