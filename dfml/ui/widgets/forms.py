"""Forms made from configs, one widget per field with its range and sentence, and choices that outlive their widgets."""

import math
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import streamlit as st
from streamlit.elements.lib.grid_container import GridContainer

from dfml.cluster.connecting import ADDRESS, asked_for
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import given_path
from dfml.core.registry import PRESETS
from dfml.data.splits import split_folder
from dfml.ui.widgets.scenes import going_through_history, short_choice, widget_value
from dfml.ui.widgets.sidebar import device_question
from dfml.ui.widgets.texts import plain

MAIN_FIELDS = "iterations warm_start steps models tasks shot inner_steps outer_lr lr learner head".split()
SHORT_FORMS = {"lr": "learning rate", "bn": "BN", "tv": "TV", "ce": "CE", "l2": "L2", "kl": "KL"}

Row = dict[str, Any]
"""Of ``Config.describe()``."""


def _load(name: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Return what stands at ``module:name`` in a room that needs torch: loaded on first need, behind a skeleton."""
    if "torch" not in sys.modules:
        with st.container():
            note = st.empty()
            note.caption("Loading PyTorch, once after the start of the server …")
            with st.skeleton(160):
                resolve_name(name)
            note.empty()
    return resolve_name(name)


methods = partial(_load, "dfml.methods:METHODS")
inverters = partial(_load, "dfml.inversion:INVERTERS")
learners = partial(_load, "dfml.meta.learners:LEARNERS")
polluting = partial(_load, "dfml.zoo.build.pollute")


def lasting(widget: Callable[..., Any], label: str, *options: Sequence[str], key: str, **look: Any) -> Any:  # noqa: ANN401 - as the widget's
    """Draw a widget whose value stands in the link as ``key``, and return the value.

    A bound choice leaves the link when another page is opened or its form is folded away. Here it comes back, unless
    the link says otherwise or ``options`` no longer offer it. With ``format_func`` the link says the option, not the
    words for it.
    """
    kept = st.session_state.setdefault("_kept", {})
    last = kept.get(key)
    if "format_func" in look and options:
        # Streamlit would write the words, which may be said better one day, into the link.
        kept[key] = short_choice(widget, label, options[0], key=key, kept=last, **look)
        return kept[key]
    # On the way Back and Forward a choice that the link does not name is the widget's default: that was seen there.
    if (
        last is not None
        and key not in st.query_params
        and all(last in offered for offered in options)
        and not going_through_history()
        and key not in st.session_state
    ):
        st.session_state[key] = last
    kept[key] = widget(label, *options, key=key, bind="query-params", **look)
    return kept[key]


def preset_chosen() -> str:
    """Return the preset before its chooser is drawn: cards above it, too, say what it takes."""
    asked = st.query_params.get("preset")
    return asked if asked in PRESETS else st.session_state.get("preset") or PRESETS[0]


def preset_cell(grid: GridContainer) -> str:
    """Draw the choice of the preset that the options start from; it stands in the link."""
    text = (
        "**demo**: minutes on two CPU cores, with what this program adds  \n"
        "**published**: as short, with nothing but what the paper has  \n"
        "**paper**: the authors' own size; hours without a GPU"
    )
    look = {"default": "demo", "required": True, "width": "stretch", "help": text}
    with grid.cell(column_span=2):
        return lasting(st.segmented_control, "Preset", list(PRESETS), key="preset", **look)


def cluster_cell(grid: GridContainer, key: str) -> str:
    """Draw the choice of a cluster, where this app was started with one; return its address, "" for this machine."""
    try:
        address = asked_for(None)
    except BadInput as error:
        grid.error(plain(str(error)))
        return ""
    if not address:
        return ""
    text = f"{ADDRESS} names a cluster whose workers can do it, each with one thread; progress and results come here."
    where = {"the cluster": address, "this machine": ""}
    look: dict[str, Any] = {"key": f"{key}:cluster", "persist_state": "session", "help": text}
    return where[grid.selectbox("Computed by", list(where), **look)]


def seed_and_device(grid: GridContainer, key: str) -> dict[str, int | str]:
    """Draw these fields, and that of a cluster; ``key`` is the prefix of the widgets' keys."""
    text = (
        "This number decides where chance would (first weights, noise, the order of tasks): the same one gives the "
        "same run, another one another run. A few seeds show how much of a result is luck."
    )
    with grid.cell():
        seed = lasting(st.number_input, "Seed", key="seed", min_value=0, max_value=2**31, value=0, step=1, help=text)
    text = "Where the run computes. auto takes a GPU where there is one; the sidebar shows what was found."
    known = device_question().answer()
    devices: list[str] = ["auto", *(known["devices"] if known else ["cpu"])]
    device = grid.selectbox("Device", devices, key=f"{key}:device", persist_state="session", help=text)
    return {"seed": int(seed), "device": device, "cluster": cluster_cell(grid, key)}


def all_options(config: Config, grid: GridContainer, *, key: str, without: Collection[str] = ()) -> dict[str, Any]:
    """Draw every field of a preset into a grid; the values are not validated: see ``type(config).parse``.

    ``key`` is the prefix of the widgets' keys; another preset needs another one, so that its values show. Fields in
    ``without`` are drawn elsewhere.
    """
    return _draw([row for row in main_first(config.describe()) if row["name"] not in without], config, grid, key)


def main_first(rows: list[Row]) -> list[Row]:
    """Return ``Config.describe()`` with the rows first that a reader is likely to change."""
    return sorted(rows, key=lambda row: row["name"] not in MAIN_FIELDS)


def _draw(rows: list[Row], config: Config, grid: GridContainer, key: str) -> dict[str, Any]:
    values = {}
    for row in rows:
        with grid.cell():
            values[row["name"]] = _field(row, getattr(config, row["name"]), key)
    return values


def _field(row: Row, value: Any, key: str) -> Any:  # noqa: ANN401 - any field's value
    label, choices, own = words(row["name"]), row["choices"], f"{key}:{row['name']}"
    look: dict[str, Any] = {"help": row["help"], "key": own, "persist_state": "session"}
    start = widget_value(row, value)
    if own not in st.session_state:
        # Not as the widget's own first value: a link may set another, and Streamlit warns where both are given.
        st.session_state[own] = choices[0] if choices and start not in choices else start
    if choices:
        return st.selectbox(label, choices, **look)
    if row["type"] == "boolean":
        return st.toggle(label, **look)
    if row["offered"]:
        # A default that is none of the options is one of them now.
        return st.selectbox(label, dict.fromkeys([*row["offered"], start]), accept_new_options=True, **look)
    look["placeholder"] = "automatic"
    if row["type"] in ("integer", "number"):
        kind = int if row["type"] == "integer" else float
        bounds: list[Any] = [None if row[end] is None else kind(row[end]) for end in ("minimum", "maximum")]
        step, form = (1, "%d") if kind is int else (number_step(value or 0), number_format(value or 0))
        none: dict[str, Any] = {"value": None} if row["optional"] else {}
        return st.number_input(label, *bounds, step=step, format=form, **none, **look)
    text = (st.text_input(label, **look) or "").strip()
    several = isinstance(value, list | tuple)
    return [part.strip() for part in text.split(",") if part.strip()] if several else text or None


def real_images(text: str) -> Path:
    """Return the data set that a field "Real images" names; ``BadInput``: it has no training split."""
    folder = given_path(text)
    if not split_folder(folder, "train").is_dir():
        raise BadInput(f"no folder {folder / 'train'}: Real images wants a data set DIR/train/<class>/<image>.")
    return folder


def words(name: str) -> str:
    """Make a label of a field's name: ``inner_lr`` becomes ``Inner learning rate``."""
    text = " ".join(SHORT_FORMS.get(part, part) for part in name.split("_"))
    return text[:1].upper() + text[1:]


def number_step(value: float) -> float:
    """Return a sensible step for a float: one unit of its first digit (0.01 for 0.025)."""
    return 10.0 ** math.floor(math.log10(abs(value))) if value else 0.1


def number_format(value: float) -> str:
    """Return a printf format that shows small numbers without rounding them to zero."""
    return "%.1e" if 0 < abs(value) < 1e-4 else "%g"
