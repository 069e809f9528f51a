"""A form that trains a zoo from a folder of images, as a run in the background, and the runs that do so."""

from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.remedies import PROGRAM
from dfml.runs import launcher
from dfml.runs.jobs.build_zoo import check
from dfml.runs.spec import RunSpec
from dfml.ui.runs.panel import Watched, watch_runs
from dfml.ui.runs.run_rows import go_to_run, run_rows
from dfml.ui.widgets.forms import all_options, cluster_cell
from dfml.ui.widgets.texts import counted, one_line_errors, percent
from dfml.ui.zoo.choose_zoo import choose_next, open_listing
from dfml.zoo.build.zoo_config import PretrainConfig

OPEN = "build_open"
NETWORKS = ("fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12", "fewshot_resnet18", "fewshot_vit")
COLOURS = {"as the images are": None, "colour": True, "grey": False}
FOLDER = (
    "A class-folder data set: DIR/train/<class>/<image>. Each teacher learns some of its classes; the last fifth of "
    "each class's images is held out."
)
TURNS = "They take turns. Also any classifier of timm, or NAME:WIDTH for one that is called fewshot_."
NAME = "The zoo is found under it among the zoos, once all its teachers are trained."


def building_panel() -> None:
    """Draw the box with the form, and the runs that train zoos; a link that names one of these opens it."""
    asked = st.query_params.get("run")
    if asked and asked != st.session_state.get("_building"):
        if any(row.name == asked for row in run_rows("pretrain")):
            st.session_state[OPEN] = True
        else:  # that of another page, for one who goes through the pages fast
            st.query_params.pop("run")
            asked = None
    look: dict[str, Any] = {"key": OPEN, "icon": ":material/construction:", "on_change": "rerun"}
    with st.expander("Train a zoo from images", **look) as box:
        if box.open:
            _form()
            if rows := run_rows("pretrain"):
                watch_runs(rows, "building", _watch)
            st.session_state["_building"] = st.query_params.get("run")
    if not box.open and asked:
        st.query_params.pop("run", None)  # no longer what is seen


def _form() -> None:
    look: dict[str, Any] = {"persist_state": "session"}
    grid = st.grid(2, min_column_width=240)
    data = grid.text_input("Folder of images", "", key="build:data", placeholder="DIR", help=FOLDER, **look)
    name = grid.text_input("Name of the zoo", "", key="build:name", placeholder="my-zoo", help=NAME, **look)
    grid = st.grid(3, min_column_width=140)
    values: dict[str, Any] = {
        "models": grid.number_input("Teachers", 1, 10_000, 10, key="build:models", **look),
        "way": grid.number_input("Classes per teacher", 2, 1000, 5, key="build:way", help=_about("way"), **look),
    }
    more: dict[str, Any] = {"default": NETWORKS[0], "accept_new_options": True, "help": TURNS}
    networks = grid.multiselect("Architectures", NETWORKS, key="build:networks", **more, **look)
    with st.expander("Options", icon=":material/tune:", key="build:options"):
        grid = st.grid(4, min_column_width=150)
        shade = grid.selectbox("Images", list(COLOURS), key="build:shade", help=_about("colour"), **look)
        values |= all_options(PretrainConfig(), grid, key="build", without=["models", "way", "colour"])
        cluster = cluster_cell(grid, "build")
    with st.container(horizontal=True, vertical_alignment="center"):
        start = st.button("Train the zoo", type="primary", icon=":material/play_arrow:", key="build:start")
        text = "On the CPU, in the background; teachers that are whole are kept, so that a stopped run goes on."
        about = f"`{PROGRAM} zoo pretrain --data DIR --out ZOO` does it on the command line."
        st.caption(text, width="stretch", help=about)
    if start:
        with one_line_errors():
            if not name.strip():
                raise BadInput("give the zoo a name, by which it is found afterwards.")
            if not networks:
                raise BadInput("choose an architecture, such as fewshot_conv4.")
            whole = PretrainConfig.parse({**values, "colour": COLOURS[shade]})
            asked = {"data": data.strip() or None, "label": name.strip(), "seed": whole.seed, "device": "cpu"}
            asked["cluster"] = cluster
            spec = RunSpec.parse(
                {"kind": "pretrain", "method": ", ".join(networks), "config": whole.model_dump(mode="json"), **asked}
            )
            check(spec)
            go_to_run(launcher.start(spec).name)


def _about(field: str) -> str:
    return PretrainConfig.model_fields[field].description or ""


def _watch(watched: list[Watched], name: str) -> None:
    """Say how good the teachers are so far, and lead to the finished zoo."""
    (one,) = watched
    _, values = one.run.scalars().get("zoo/accuracy", ([], []))
    known = [value for value in values if value is not None]
    if known:
        mean, far = percent(sum(known) / len(known)), "" if one.status.state == "finished" else " so far"
        st.caption(f"{counted(len(known), 'teacher')}{far}, mean held-out accuracy {mean}.")
    folder = (one.run.result() or {}).get("zoo") if one.status.state == "finished" else None
    if isinstance(folder, str) and st.button("Look at this zoo", icon=":material/pets:", key=f"build:look:{name}"):
        with one_line_errors():
            open_listing(folder)
            choose_next(folder)
