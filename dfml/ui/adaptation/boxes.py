"""The reader's own pictures: a box a class, one for the query images, and the ways in which pictures come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.data.class_archive import open_zip, sort_paths
from dfml.data.class_folders import base_name
from dfml.data.pictures import KINDS
from dfml.ui.adaptation.choose_images import example_folder, example_names
from dfml.ui.adaptation.uploads import MAX_CLASSES, MAX_NAME, MIN_CLASSES, QUERY, UploadSet
from dfml.ui.components.shelf import shelf
from dfml.ui.widgets.texts import counted, one_line_errors, plain
from dfml.ui.widgets.uploaders import Given, camera, uploader, whole_ones

MANY = "many"
"""Where the lines of a folder, a zip or an example are kept."""
WAYS = ("folder", "zip", "camera", "example")


def draw_boxes(store: UploadSet) -> None:
    """Draw all boxes of a set, and what adds to them."""
    st.html(Path(__file__).with_name("uploader.css"))
    with st.container(key="own_pictures"):
        _draw_ways(store)
        names = store.names()
        grid = st.grid(2, min_column_width=200, border=True)
        for slot, name in enumerate(names):
            with grid.cell():
                _class_cell(store, names, slot, name)
        with st.container(horizontal=True):
            if len(names) < MAX_CLASSES and st.button("Add a class", icon=":material/add:"):
                with one_line_errors():
                    free = next(name for name in (f"class {i}" for i in range(1, 99)) if name not in names)
                    store.write_names([*names, free])
                    st.rerun()
            if store.folder.is_dir() and st.button("Remove all", icon=":material/delete:"):
                store.forget()
                _empty_uploaders()
                st.rerun()
        with st.container(border=True):
            text = "The model has not seen these: it says which of your classes each one shows."
            st.markdown("**Query images**", help=text)
            inbox(store, QUERY, "the query set")
    st.caption(
        f"{MIN_CLASSES} to {MAX_CLASSES} classes, one to five images each suffice. {KINDS}. The images stay on this "
        "computer, and the link of this page finds them again."
    )


def _draw_ways(store: UploadSet) -> None:
    text = (
        "Files go right into the boxes below. A folder or a zip holds a folder for each class, and one called `query` "
        "if you like, with the pictures to be classified."
    )
    look: dict[str, Any] = {"help": text, "key": "way_of_adding"}
    way = st.pills("Bring many at once, or take a photo", WAYS, **look)
    if way in ("folder", "zip"):
        kinds = ["support pictures", "query pictures"]
        what = st.segmented_control("They are", kinds, default=kinds[0], required=True, key="many_are")
        _bring(store, way, queries=what == kinds[1])
    elif way == "camera":
        _photograph(store)
    elif way == "example":
        _copy_example(store)
    _draw_problems(MANY)


def _bring(store: UploadSet, way: str, *, queries: bool) -> None:
    key = f"{way}:{store.token}:{queries}:{_round()}"

    def keep(given: Sequence[Given]) -> None:
        seen = _seen()

        def store_all() -> list[str] | None:
            new = [one for one in given if one.file_id not in seen]
            seen.update(one.file_id for one in new)
            whole, lines = whole_ones(new)
            if not whole:
                return lines or None
            if way == "folder":
                handed = [sort_paths((one.name, one.getvalue) for one in whole)]
            else:
                handed = [open_zip(one.getvalue(), base_name(one.name)) for one in whole]
            return lines + [line for each in handed for line in store.add_sorted(each, queries=queries)]

        _tell(store, MANY, store_all)

    # Of any type, as in the boxes: what is no picture is named and passed over.
    if way == "folder":
        uploader("A folder with a folder for each class", keep, accept_multiple_files="directory", key=key)
    else:
        uploader("A zip of class folders", keep, key=key)


def _photograph(store: UploadSet) -> None:
    names = store.names()
    slots = [*range(len(names)), QUERY]
    look: dict[str, Any] = {"format_func": lambda slot: "the query images" if slot == QUERY else names[slot]}
    slot = st.selectbox("The photo is one of", slots, key=f"photo_of:{len(names)}", **look)
    key = f"photo:{store.token}:{slot}:{_round()}"

    def keep(given: Sequence[Given]) -> None:
        seen = _seen()
        _tell(store, slot, lambda: store.take(slot, given, seen))

    camera("Photo", keep, key=key, label_visibility="collapsed")
    st.caption("Browsers show the camera only to this computer itself, or over https.")


def _copy_example(store: UploadSet) -> None:
    names = example_names()
    if not names:
        st.caption("No example sets are embedded here.")
        return
    name = st.selectbox("Copy the pictures of", names, key="example_to_copy")

    def copy() -> None:
        root = example_folder(name)
        files = sorted(path for path in root.glob("*/*/*") if path.is_file())
        paths = [(str(path.relative_to(root)), path.read_bytes) for path in files]
        _tell(store, MANY, lambda: store.add_sorted(sort_paths(paths)))

    st.button("Copy them into the boxes", icon=":material/content_copy:", on_click=copy)


def _class_cell(store: UploadSet, names: list[str], slot: int, name: str) -> None:
    key = f"name:{store.token}:{slot}:{len(names)}:{_round()}"
    if st.session_state.get(key) != name:  # a name that came with a folder, or a field that was emptied
        st.session_state[key] = name

    def rename() -> None:
        # A field that has left the page may be told of once more, with what it held: that is nobody's wish any more.
        known = store.names()
        drawn = len(known) == len(names) and known[slot] == name
        if drawn and (new := st.session_state[key].strip()):
            _tell(store, slot, lambda: store.rename(slot, new))

    look = {"max_chars": MAX_NAME, "label_visibility": "collapsed", "placeholder": "class name"}
    st.text_input("Class name", key=key, on_change=rename, **look)
    inbox(store, slot, name)


def inbox(store: UploadSet, slot: int | str, name: str) -> None:
    """Draw an uploader, why files of it were refused, and what is stored."""
    # The key stays as long as it can: what is given to an uploader while a fresh one takes its place would be lost.
    count = st.session_state.get(f"_round:{slot}", 0)
    key = f"up:{store.token}:{slot}:{_round()}:{count}"

    def keep(given: Sequence[Given]) -> None:
        # In the callback, so that one run of the page both stores the files and shows them.
        seen = _seen()
        _tell(store, slot, lambda: store.take(slot, given, seen))

    # Of any type: a browser that only lets images through drops the others without a word.
    uploader(f"Images of {plain(name)}", keep, accept_multiple_files=True, key=key, label_visibility="collapsed")
    _draw_problems(slot)
    stored = store.pictures(slot)
    count_told = counted(len(stored), "image")
    if stored:
        shelf(
            stored,
            [path.name for path in stored],
            key=f"shelf:{store.token}:{slot}",
            alt=f"{count_told} of {name}",
            remove=lambda file: store.remove(slot, file),
            side=48,
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if stored:
            st.caption(count_told, width="content")
            if st.button("Clear", key=f"clear:{slot}", type="tertiary", icon=":material/backspace:"):
                store.clear(slot)
                st.session_state.get("_upload_problems", {}).pop(slot, None)
                st.session_state[f"_round:{slot}"] = count + 1
                st.rerun()
        if slot != QUERY and len(store.names()) > MIN_CLASSES:
            key = f"drop:{slot}:{len(store.names())}"
            if st.button("Remove class", key=key, type="tertiary", icon=":material/close:"):
                store.drop_class(int(slot))
                _empty_uploaders()
                st.rerun()


def _tell(store: UploadSet, slot: int | str, work: Callable[[], list[str] | None]) -> None:
    """Store, and keep the lines of it; None: nothing was new, and the lines of before stay."""
    # Asked for first: where the page is drawn anew meanwhile, the session's state ends this script at the next look.
    problems = st.session_state.setdefault("_upload_problems", {})
    with store.busy:
        try:
            told = work()
        except DfmlError as error:
            told = [str(error)]
    if told is not None:
        problems[slot] = told


def _seen() -> set[str]:
    """Return the ids of the uploads that were taken: an uploader may report them again."""
    return st.session_state.setdefault("_seen_uploads", set())


def _draw_problems(slot: int | str) -> None:
    if lines := [plain(line) for line in st.session_state.get("_upload_problems", {}).get(slot, [])]:
        with st.container(height=240 if len(lines) > 4 else "content", border=False):
            for line in lines:
                st.error(line, icon=":material/broken_image:")


def _round() -> int:
    return st.session_state.get("_upload_round", 0)


def _empty_uploaders() -> None:
    st.session_state["_upload_round"] = _round() + 1
    st.session_state.pop("_upload_problems", None)
