"""The form that asks what nobody says of models: exactly what is unknown, and folded what else a person may know."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.ui.widgets.texts import plain
from dfml.zoo.importing.stating import Stated

Asked = Mapping[str, Mapping[str, str]]
IMAGENET = {"mean": "0.485, 0.456, 0.406", "std": "0.229, 0.224, 0.225", "crop_pct": 0.875}
"""What most networks that were trained on ImageNet expect."""
LABELS = {
    "key": "Entry that holds the weights",
    "arch": "Network",
    "num_classes": "Number of classes",
    "input_size": "Input size",
    "mean": "Channel means",
    "std": "Channel deviations",
    "crop_pct": "Crop",
}
HINTS = {
    "key": "the checkpoint has several",
    "arch": "choose, or type timm's name",
    "num_classes": "outputs of the network",
    "input_size": "pixels; or channels, height, width",
    "mean": "one number, or one a channel",
    "std": "one number, or one a channel",
    "crop_pct": "share of a side, up to 1",
}
HELP = {
    "arch": "timm's name of the network, or torchvision_NAME.",
    "input_size": "Of the images that it was trained on: 32, or with channels 1, 28, 28.",
    "mean": "What its training subtracted from pixels in [0, 1].",
    "std": "By what its training then divided them.",
    "crop_pct": "Share of an image's side that it was evaluated on; 1: all of it.",
}


def needed(asked: Sequence[Asked], key: str) -> dict[str, Any]:
    """Draw a field for all that is unknown of any model; return what was given, by the names of ``Stated``."""
    names = [name for name in LABELS if any(name in each for each in asked)]
    if not names:
        return {}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Nothing says this, and nothing is assumed:", width="content")
        usual = {f"{key}:{name}": IMAGENET[name] for name in names if name in IMAGENET}
        if usual:
            told = "mean 0.485, 0.456, 0.406; deviation 0.229, 0.224, 0.225; crop 0.875: true of many networks only."
            st.button(
                "ImageNet's values", on_click=st.session_state.update, args=(usual,), help=told, key=f"{key}:usual"
            )
    grid, given = st.grid(len(names) if len(names) < 4 else 3, min_column_width=200), {}
    for name in names:
        choices = {choice: word for each in asked for choice, word in each.get(name, {}).items()}
        with grid.cell():
            given[name] = _field(name, choices, f"{key}:{name}")
    return {name: value for name, value in given.items() if value not in (None, "")}


def _field(name: str, choices: Mapping[str, str], key: str) -> Any:  # noqa: ANN401 - any field's value
    look: dict[str, Any] = {"key": key, "help": HELP.get(name), "placeholder": HINTS[name]}
    if choices or name == "arch":
        said = {choice: f"{choice}: {word}" if word else choice for choice, word in choices.items()}
        look |= {"accept_new_options": name == "arch", "format_func": lambda one: said.get(one, one)}
        return st.selectbox(LABELS[name], list(choices), None, **look)
    if name == "num_classes":
        return st.number_input(LABELS[name], 2, None, None, 1, **look)
    if name == "crop_pct":
        return st.number_input(LABELS[name], 0.01, 1.0, None, 0.05, format="%g", **look)
    return (st.text_input(LABELS[name], **look) or "").strip()


def optional(count: int, names: Path | None, key: str) -> dict[str, Any]:
    """Draw what may be known besides, folded away; ``names`` is a file of class names that was given already."""
    given: dict[str, Any] = {}
    with st.expander("What else you know", key=f"{key}:more"):
        grid = st.grid(3, min_column_width=200)
        if count == 1:
            given["id"] = grid.text_input("Name in the zoo", key=f"{key}:id", placeholder="as the file")
            percent = grid.number_input("Accuracy in %", 0.0, 100.0, None, key=f"{key}:accuracy", format="%g")
            given["accuracy"] = None if percent is None else percent / 100
        given["domain"] = grid.text_input("Trained on", key=f"{key}:domain", placeholder="the data set")
        given["licence"] = grid.text_input("Licence", key=f"{key}:licence", placeholder="terms of the weights")
        if names is not None:
            st.caption(f"Class names come from {plain(names.name)}.")
            given["classes"] = names
        else:
            hint = "one a line, in the order of the outputs"
            lines = st.text_area("Class names", key=f"{key}:classes", placeholder=hint, height=100) or ""
            given["classes"] = [line.strip() for line in lines.splitlines() if line.strip()]
        text = "Then equal class names of two teachers of one data set mean the same class."
        given["shared_class_names"] = st.toggle("Class names identify classes", key=f"{key}:shared", help=text)
    return {name: value for name, value in given.items() if value not in (None, "", [], False)}


def stated_of(asked: Asked, typed: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated of one model: of what was typed that which is asked of it, and all else; as plain values.

    ``BadInput``: a value is out of range, or cannot be read.
    """
    own = {name: value for name, value in typed.items() if name in asked}
    return Stated.read({**own, **more}).model_dump(exclude_none=True)
