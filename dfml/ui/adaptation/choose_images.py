"""Choosing the support and query images: an example set, or the reader's own uploads."""

from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput, DfmlError
from dfml.core.names import same
from dfml.core.paths import ASSETS, read_json
from dfml.data.class_folders import list_classes
from dfml.data.pictures import KINDS
from dfml.ui.adaptation.uploads import MAX_CLASSES, MIN_CLASSES, QUERY, UploadSet, is_token, new_token
from dfml.ui.widgets.forms import lasting
from dfml.ui.widgets.galleries import show_strip
from dfml.ui.widgets.texts import counted, empty_state, one_line_errors, plain, spaced

Classes = dict[str, list[Path]]
"""Files by class name."""


@dataclass(frozen=True)
class Chosen:
    """Images to adapt to, by class, and to classify, each with its class (empty where unknown).

    ``missing`` says in one line what is missing; empty when all is there.
    """

    support: Classes = field(default_factory=dict)
    query: list[tuple[str, Path]] = field(default_factory=list)
    missing: str = ""


def choose_pictures() -> Chosen:
    """Draw the chooser and return what is chosen."""
    text = "The support set shows the model its new classes; the query images are the ones that it classifies."
    look = {"default": "Example set", "required": True, "help": text}
    source = lasting(st.segmented_control, "Images", ["Example set", "My own pictures"], key="source", **look)
    return _example() if source == "Example set" else _own()


def _example() -> Chosen:
    names = example_names()
    if not names:
        text = "None are embedded here; choose your own images above."
        empty_state("No example sets", text, icon=":material/photo_library:")
        return Chosen(missing="Choose your own images.")
    left, right = st.columns([2, 1])
    name = lasting(left.selectbox, "Example set", names, key="set")
    with one_line_errors(stop=True):
        about, every, asked = read_example(name)
    most = max(1, min(len(files) for files in every.values()))
    text = "Support images per class: 1-shot, 5-shot, …"
    shots = right.number_input("Shots", 1, most, min(5, most), key="shots", bind="query-params", help=text)
    support = {label: files[: int(shots)] for label, files in every.items()}
    st.caption(plain(about))
    # The classes take turns, so that the first page of predictions shows all of them.
    rounds = zip_longest(*([(label, file) for file in files] for label, files in asked.items()))
    query = [pair for one_of_each in rounds for pair in one_of_each if pair]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown("**Support set**: what the model may learn from")
        for label, files in support.items():
            name, pictures = st.columns([1, 4], vertical_alignment="center", gap="small", wrap=False)
            name.markdown(plain(label))
            with pictures:
                show_strip(files, f"{len(files)} support images of {label}", columns=max(5, len(files)))
    with right:
        st.markdown(f"**Query images**: the {len(query)} that it must classify")
        if query:
            alt = f"{len(query)} query images of {len(asked)} classes"
            show_strip([file for _, file in query], alt, side=72, columns=8)
    return Chosen(support, query)


def _own() -> Chosen:
    token = st.query_params.get("pictures")
    if not is_token(token):
        token = st.session_state.get("_pictures") or new_token()
        st.query_params["pictures"] = token
    st.session_state["_pictures"] = token
    store = UploadSet(token)
    st.caption(
        f"{MIN_CLASSES} to {MAX_CLASSES} classes, one to five images each suffice. {KINDS}. The images stay on "
        "this computer, and the link of this page finds them again."
    )
    st.html(Path(__file__).with_name("uploader.css"))
    with st.container(key="own_pictures"):
        _boxes(store)
    clean = [same(name.strip()) for name in store.names()]
    support = {name: store.pictures(slot) for slot, name in enumerate(clean)}
    query = [("", path) for path in store.pictures(QUERY)]
    if len(support) < len(clean):
        twice = next(name for name in clean if clean.count(name) > 1)
        return Chosen(missing=f"Two classes are called {twice!r}: give each its own name.")
    if empty := [name for name, files in support.items() if not files]:
        return Chosen(missing=f"Add at least one image of {', '.join(empty)}.")
    if not query:
        return Chosen(missing="Add the query images that the model is to classify.")
    return Chosen(support, query)


def _boxes(store: UploadSet) -> None:
    names = store.names()
    grid = st.grid(3, min_column_width=230, border=True)
    for slot, name in enumerate(names):
        with grid.cell():
            _class_cell(store, names, slot, name)
    with st.container(horizontal=True):
        if len(names) < MAX_CLASSES and st.button("Add a class", icon=":material/add:"):
            with one_line_errors():
                free = next(name for name in (f"class {i}" for i in range(1, 99)) if name not in names)
                store.write_names([*names, free])
                st.rerun()
        if store.folder.is_dir() and st.button("Remove all images", icon=":material/delete:"):
            store.forget()
            _empty_uploaders()
            st.rerun()
    with st.container(border=True):
        text = "The model has not seen these: it says which of your classes each one shows."
        st.markdown("**Query images**", help=text)
        _inbox(store, QUERY, "the query set")


def _class_cell(store: UploadSet, names: list[str], slot: int, name: str) -> None:
    key = f"name:{store.token}:{slot}:{len(names)}:{st.session_state.get('_upload_round', 0)}"
    look = {"max_chars": 40, "label_visibility": "collapsed", "placeholder": "class name"}
    new = st.text_input("Class name", name, key=key, **look).strip() or name
    if new != name:
        with one_line_errors():
            store.write_names([*names[:slot], new, *names[slot + 1 :]])
            names[slot] = new
    _inbox(store, slot, new)
    look: dict[str, Any] = {"icon": ":material/close:", "type": "tertiary"}
    if len(names) > MIN_CLASSES and st.button("Remove class", key=f"drop:{slot}:{len(names)}", **look):
        store.drop_class(slot)
        _empty_uploaders()
        st.rerun()


def _empty_uploaders() -> None:
    st.session_state["_upload_round"] = st.session_state.get("_upload_round", 0) + 1
    st.session_state.pop("_upload_problems", None)


def _inbox(store: UploadSet, slot: int | str, name: str) -> None:
    """Draw an uploader, why files of it were refused, and what is stored."""
    # The key stays as long as it can: what is given to an uploader while a fresh one takes its place would be lost.
    count = st.session_state.get(f"_round:{slot}", 0)
    key = f"up:{store.token}:{slot}:{st.session_state.get('_upload_round', 0)}:{count}"

    def keep() -> None:
        # In the callback, so that one run of the page both stores the files and shows them.
        seen = st.session_state.setdefault("_seen_uploads", set())
        try:
            told = store.take(slot, st.session_state.get(key) or [], seen)
        except DfmlError as error:
            told = [str(error)]
        if told is not None:
            st.session_state.setdefault("_upload_problems", {})[slot] = told

    # Of any type: a browser that only lets images through drops the others without a word.
    st.file_uploader(
        f"Images of {plain(name)}", accept_multiple_files=True, key=key, on_change=keep, label_visibility="collapsed"
    )
    if lines := [plain(line) for line in st.session_state.get("_upload_problems", {}).get(slot, [])]:
        with st.container(height=240 if len(lines) > 4 else "content", border=False):
            for line in lines:
                st.error(line, icon=":material/broken_image:")
    if stored := store.pictures(slot):
        count_told = counted(len(stored), "image")
        width = "stretch" if len(stored) > 2 else 210
        show_strip(stored[:20], f"{count_told} of {name}", columns=min(5, max(3, len(stored))), width=width)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(count_told, width="content")
            if st.button("Clear", key=f"clear:{slot}", type="tertiary", icon=":material/backspace:"):
                store.clear(slot)
                st.session_state.get("_upload_problems", {}).pop(slot, None)
                st.session_state[f"_round:{slot}"] = count + 1
                st.rerun()


def example_names() -> list[str]:
    """Return the names of the example sets."""
    root = ASSETS / "support-sets"
    return sorted(p.name for p in root.iterdir() if (p / "support").is_dir()) if root.is_dir() else []


def read_example(name: str) -> tuple[str, Classes, Classes]:
    """Return what an example set shows, its support images and its query images.

    Raises:
        BadInput: There is none of that name, or fewer than two classes have images.
    """
    if name not in example_names():
        raise BadInput(f"no example set {name!r}; there are: {', '.join(example_names()) or 'none'}.")
    folder = ASSETS / "support-sets" / name
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
