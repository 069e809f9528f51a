"""The form that starts a meta-training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from dfml.core.config import Config
from dfml.ui.runs.chooser import go_to_run
from dfml.ui.runs.order_fields import preset_cell, seed_and_device, zoo_cell
from dfml.ui.training.first_run import first_run_text, training_text
from dfml.ui.widgets.forms import config_form, more_options
from dfml.ui.widgets.messages import one_line_errors
from dfml.ui.widgets.registries import methods
from dfml.ui.widgets.remember import lasting

if TYPE_CHECKING:
    from streamlit.elements.lib.grid_container import GridContainer


def training_form() -> None:
    """Choose a zoo and a method, and queue a meta-training."""
    # The first time this shows that it works, which inside a cell would push its chooser below the others.
    registry = methods()
    grid = st.grid(3, min_column_width=200)
    zoo = zoo_cell(grid)
    if zoo is None:
        return
    with grid.cell():
        name = lasting(
            st.selectbox,
            "Method",
            sorted(registry.names(), key=lambda one: one != "purer"),  # this app's first, the others as registered
            key="method",
            help="The way from the teachers to a meta-model; the line below says how it works. "
            "random is the floor, real-data the ceiling, which is not data-free.",
        )
    method = registry.get(name)
    preset = preset_cell(grid)
    config = method.preset(preset)
    st.caption(f"**{method.title}**: {method.summary}", help=method.reference)
    cost = first_run_text(config, [teacher.way for teacher in zoo.teachers], remote=bool(zoo.address))
    told = " ".join(filter(None, (training_text(name, preset), cost)))
    if told:
        before = f"`python -m dfml zoo prepare ZOO --method {name}` does it beforehand, on all cores."
        st.caption(told, help=before if cost else None)
    with st.form(f"train:{name}:{preset}", border=False):
        options = st.grid(5, min_column_width=120)
        values = config_form(config, options, key=f"{name}:{preset}")
        order: dict[str, Any] = {"kind": "train", "method": name, "zoo": zoo.reference, "preset": preset}
        order |= seed_and_device(options, "train")

        def real_pictures(cells: GridContainer, waiting: str) -> None:
            look = {"placeholder": waiting, "help": pictures_help(method, config), "persist_state": "session"}
            order["data"] = cells.text_input("Real images", key="train:data", **look).strip() or None

        if not method.data_free:  # it needs them, so they stand in the open
            real_pictures(options, "a folder DIR")

        def name_and_data(cells: GridContainer) -> None:
            look = {"max_chars": 80, "placeholder": f"{name} on {zoo.name}"}
            order["label"] = cells.text_input("Name of the run", key="train:label", **look).strip()
            if method.data_free:
                real_pictures(cells, "the embedded sample")

        values |= more_options(config, key=f"{name}:{preset}", first=name_and_data)
        with st.container(horizontal=True, vertical_alignment="center"):
            start = st.form_submit_button("Start training", type="primary", icon=":material/play_arrow:")
            text = "You may start several: they wait in line, and one works on a device at a time."
            st.caption(text, width="stretch")
    if start:
        _launch(method, values, order)


def pictures_help(method: Any, config: Config) -> str:  # noqa: ANN401 - a class of methods, which need torch
    """What a method, with the config of its preset, does with the real images that it is given."""
    text = "A class-folder data set DIR/{train,val,test}/<class>/<picture>, or sample:NAME. "
    if not method.data_free:
        return f"{text}This method is not data-free: it learns from the split train, so a folder must be named here."
    text += "It measures the model, on validation classes while it is trained and on test classes at the end. "
    if getattr(config, "watch", "") == "validation":
        text += (
            "This method also looks at labelled images of the validation classes while it learns, and names them as "
            "side information; `watch=training` does without. "
        )
    if hasattr(config, "keep"):
        text += "With `keep=best` the validation classes also choose the weights. "
    return f"{text}Left empty, the embedded sample of the zoo's domain takes its place."


def _launch(method: Any, values: dict[str, Any], order: dict[str, Any]) -> None:  # noqa: ANN401 - as above
    from dfml.runs import launcher
    from dfml.runs.spec import RunSpec

    started = None
    with one_line_errors():
        whole = method.Config.parse(values).model_dump(mode="json")
        method.check_data(order["data"])
        started = launcher.start(RunSpec.parse({**order, "config": whole}))
    if started is not None:
        go_to_run(started.path.name)
