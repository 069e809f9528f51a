"""The form that starts a meta-training, and how long that takes: measured by method, estimated for first recoveries."""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.elements.lib.grid_container import GridContainer

from dfml.core.config import Config
from dfml.core.paths import STUDIO
from dfml.core.remedies import PROGRAM
from dfml.runs import launcher
from dfml.runs.jobs.train import check
from dfml.runs.spec import RunSpec
from dfml.ui.runs.run_rows import go_to_run
from dfml.ui.training.cost_panel import ask_cost, cost_panel
from dfml.ui.widgets.forms import config_form, lasting, methods, more_options, preset_cell, seed_and_device
from dfml.ui.widgets.texts import counted, one_line_errors
from dfml.ui.zoo.choose_zoo import zoo_cell

RECOVERY, REVISION, BY_QUERIES = 9.5, 5.0, 109.0
"""Seconds of one thread for a teacher of the embedded Conv4 zoo, with the demos' options: recovering its images,
revising them until all teachers agree, and recovering them from answers alone. They lie between what was measured on
different days."""
CORES = 2
MEASURED = STUDIO / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
"""Where every demo was timed, one after the other on two cores."""


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
        before = f"`{PROGRAM} zoo prepare ZOO --method {name}` does it beforehand, on all cores."
        st.caption(told, help=before if cost else None)
    with st.form(f"train:{name}:{preset}", border=False):
        options = st.grid(5, min_column_width=120)
        values = config_form(config, options, key=f"{name}:{preset}")
        settings: dict[str, Any] = {"kind": "train", "method": name, "zoo": zoo.reference, "preset": preset}
        settings |= seed_and_device(options, "train")

        def real_pictures(cells: GridContainer, waiting: str) -> None:
            look: dict[str, Any] = {"placeholder": waiting, "persist_state": "session"}
            look["help"] = _pictures_help(method, config)
            settings["data"] = cells.text_input("Real images", "", key="train:data", **look).strip() or None

        if not method.data_free:  # it needs them, so they stand in the open
            real_pictures(options, "a folder DIR")

        def name_and_data(cells: GridContainer) -> None:
            look: dict[str, Any] = {"max_chars": 80, "placeholder": f"{name} on {zoo.name}"}
            settings["label"] = cells.text_input("Name of the run", "", key="train:label", **look).strip()
            if method.data_free:
                real_pictures(cells, "the embedded sample")

        values |= more_options(config, key=f"{name}:{preset}", first=name_and_data)
        with st.container(horizontal=True, vertical_alignment="center"):
            start = st.form_submit_button("Start training", type="primary", icon=":material/play_arrow:")
            text = "Measures a few iterations, in a minute or two, and keeps nothing of them."
            ask = st.form_submit_button("What will it cost here?", icon=":material/timer:", help=text)
            text = "You may start several: they wait in line, and one works on a device at a time."
            st.caption(text, width="stretch")
    if start or ask:
        with one_line_errors():
            whole = method.Config.parse(values).model_dump(mode="json")
            spec = RunSpec.parse({**settings, "config": whole})
            check(spec)
            if start:
                go_to_run(launcher.start(spec).name)
            preset_has = config.model_dump(mode="json")
            ask_cost(spec, {name: value for name, value in whole.items() if value != preset_has[name]})
    cost_panel()


def _pictures_help(method: Any, config: Config) -> str:  # noqa: ANN401 - a class of methods, which need torch
    """What a method, with the config of its preset, does with the real images that it is given."""
    text = "A class-folder data set DIR/{train,val,test}/<class>/<image>, or sample:NAME. "
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


def kept_recoveries(config: Config, ways: Sequence[int]) -> int:
    """Return how many recoveries the runs of a config keep for each other; ``ways``: classes of each teacher."""
    if getattr(config, "recovered", "") != "kept":
        return 0
    # Images are revised by all teachers together; without that only those whose heads fit are asked.
    fitting = len(ways) if getattr(config, "consensus", 0) else list(ways).count(getattr(config, "way", 0))
    return min(fitting, getattr(config, "apis", fitting)) * getattr(config, "visits", 1)


def first_run_seconds(config: Config, ways: Sequence[int]) -> float:
    """Return roughly how many seconds of two CPU cores these recoveries take; arguments as of ``kept_recoveries``."""
    by_queries = getattr(config, "oracle", "") == "zeroth-order"
    each = BY_QUERIES if by_queries else RECOVERY + (REVISION if getattr(config, "consensus", 0) else 0.0)
    return kept_recoveries(config, ways) * each / CORES


def first_run_text(config: Config, ways: Sequence[int], *, remote: bool = False) -> str:
    """Say what the recoveries of a first run cost, if there are any; with ``remote`` a server's speed decides."""
    count = kept_recoveries(config, ways)
    if not count:
        return ""
    minutes = max(1, round(first_run_seconds(config, ways) / 60))
    long = "as long as the server needs" if remote else f"about {counted(minutes, 'minute')} on two CPU cores"
    recoveries = "1 recovery" if count == 1 else f"{count} recoveries"
    text = (
        "The first run on a zoo also recovers images of its teachers and keeps them, unless they are kept already: "
        f"here {recoveries}, {long}. Later runs take those."
    )
    if hasattr(config, "query_inversion_steps"):
        text += " Query sets, which follow the student, are recovered in every run."
    return text


def training_text(method: str, preset: str, *, measured: Path = MEASURED) -> str:
    """Say how long the training itself takes; empty where the table of all methods does not tell."""
    seconds = _measured(measured).get(method, 0.0) if preset == "demo" else 0.0
    if not seconds:
        return ""
    long = f"{round(seconds / 60)} minutes" if seconds >= 90 else counted(max(1, round(seconds)), "second")
    return f"A run of this demo took {long} on two CPU cores (zoo cifar-fs-conv4)."


@cache
def _measured(path: Path) -> dict[str, float]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {row["method"]: float(row["seconds"]) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    return {}
