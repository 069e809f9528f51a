"""Forms made from configs, one widget per field with its range and sentence, and choices that outlive their widgets.

The few fields that a reader is likely to change stand open; the rest folds away.
"""

import math
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import Any

import streamlit as st
from streamlit.elements.lib.grid_container import GridContainer
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dfml.core.config import Config
from dfml.ui.widgets.sidebar import device_question

MAIN_FIELDS = "iterations warm_start steps models tasks shot inner_steps outer_lr lr learner head".split()
MOST_MAIN = 7
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
    the link says otherwise or ``options`` no longer offer it.
    """
    kept = st.session_state.setdefault("_kept", {})
    last = kept.get(key)
    if last is not None and key not in st.query_params and all(last in offered for offered in options):
        if getattr(get_script_run_ctx(), "is_history_navigation", False):
            # In a run that Back or Forward started, Streamlit gives a widget that the link does not name its default,
            # whatever is set here. Leaving a page takes its choices out of the link: that would be every such widget.
            st.rerun()
        if key not in st.session_state:
            st.session_state[key] = last
    kept[key] = widget(label, *options, key=key, bind="query-params", **look)
    return kept[key]


def preset_cell(grid: GridContainer) -> str:
    """Draw the choice of the preset that the options start from; it stands in the link."""
    text = "**demo**: minutes on two CPU cores  \n**paper**: the published setting; hours without a GPU"
    look = {"default": "demo", "required": True, "width": "stretch", "help": text}
    with grid.cell():
        return lasting(st.segmented_control, "Preset", ["demo", "paper"], key="preset", **look)


def seed_and_device(grid: GridContainer, key: str) -> dict[str, int | str]:
    """Draw both fields; ``key`` is the prefix of the widgets' keys."""
    text = "The same seed gives the same run."
    seed = grid.number_input("Seed", 0, 2**31, 0, step=1, key=f"{key}:seed", persist_state="session", help=text)
    text = "Where the run computes. auto takes a GPU where there is one; the sidebar shows what was found."
    known = device_question().answer()
    devices: list[str] = ["auto", *(known["devices"] if known else ["cpu"])]
    device = grid.selectbox("Device", devices, key=f"{key}:device", persist_state="session", help=text)
    return {"seed": int(seed), "device": device}


def config_form(config: Config, grid: GridContainer, *, key: str) -> dict[str, Any]:
    """Draw the main fields of a preset into a grid; the values are not validated: see ``type(config).parse``.

    ``key`` is the prefix of the widgets' keys; another preset needs another one, so that its values show.
    """
    return _draw(split_rows(config.describe())[0], config, grid, key)


def more_options(config: Config, *, key: str, first: Callable[[GridContainer], None] | None = None) -> dict[str, Any]:
    """Draw the other fields, folded away; ``first`` draws further widgets before them, into the same grid."""
    rest = split_rows(config.describe())[1]
    if not rest and not first:
        return {}
    with st.expander("More options", icon=":material/tune:"):
        grid = st.grid(4, min_column_width=150)
        if first:
            first(grid)
        return _draw(rest, config, grid, key)


def all_options(config: Config, grid: GridContainer, *, key: str, without: Collection[str] = ()) -> dict[str, Any]:
    """Draw every field into a grid, as ``config_form``; those in ``without`` are drawn elsewhere."""
    return _draw([row for row in config.describe() if row["name"] not in without], config, grid, key)


def split_rows(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Cut ``Config.describe()`` into the main rows and the others; without a known name the first four are main."""
    main = [row for row in rows if row["name"] in MAIN_FIELDS][:MOST_MAIN] or rows[:4]
    return main, [row for row in rows if row not in main]


def _draw(rows: list[Row], config: Config, grid: GridContainer, key: str) -> dict[str, Any]:
    start, values = config.model_dump(), {}
    for row in rows:
        with grid.cell():
            values[row["name"]] = _field(row, start[row["name"]], key)
    return values


def _field(row: Row, value: Any, key: str) -> Any:  # noqa: ANN401 - any field's value
    label, choices = words(row["name"]), row["choices"]
    look: dict[str, Any] = {"help": row["help"], "key": f"{key}:{row['name']}", "persist_state": "session"}
    if choices:
        return st.selectbox(label, choices, index=choices.index(value) if value in choices else 0, **look)
    if row["type"] == "boolean":
        return st.toggle(label, value=bool(value), **look)
    look["placeholder"] = "automatic"
    if row["type"] in ("integer", "number"):
        kind = int if row["type"] == "integer" else float
        given = (row["minimum"], row["maximum"], value)
        bounds: list[Any] = [None if bound is None else kind(bound) for bound in given]
        step, form = (1, "%d") if kind is int else (number_step(value or 0), number_format(value or 0))
        return st.number_input(label, *bounds, step=step, format=form, **look)
    several = isinstance(value, list | tuple)
    shown = ", ".join(map(str, value)) if several else "" if value is None else str(value)
    text = st.text_input(label, shown, **look).strip()
    return [part.strip() for part in text.split(",") if part.strip()] if several else text or None


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
