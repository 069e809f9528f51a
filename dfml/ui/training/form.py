"""The form that starts a meta-training, and what it shares with that of recoveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from dfml.core.config import Config
from dfml.ui.runs.chooser import go_to_run
from dfml.ui.widgets.device_line import device_options
from dfml.ui.widgets.forms import config_form, more_options
from dfml.ui.widgets.messages import one_line_errors
from dfml.ui.widgets.registries import methods
from dfml.ui.widgets.remember import recall, remember
from dfml.ui.zoo.panels import choose_zoo, open_listing
from dfml.zoo.listing import ZooListing

if TYPE_CHECKING:
    from streamlit.elements.lib.grid_container import GridContainer
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from dfml.core.paths import REPOSITORY

PRESETS = {"demo": "minutes on two CPU cores", "paper": "the published setting; hours without a GPU"}


def zoo_cell() -> ZooListing | None:
    """The zoo chooser; None where the chosen one cannot be read, which it says."""
    reference = choose_zoo()
    with one_line_errors():
        return open_listing(reference)
    return None


def seed_and_device(grid: GridContainer, key: str) -> tuple[int, str]:
    """The fields that every run has."""
    seed = grid.number_input(
        "Seed",
        0,
        2**31,
        0,
        step=1,
        key=f"{key}:seed",
        persist_state="session",
        help="The same seed gives the same run.",
    )
    device = grid.selectbox(
        "Device",
        device_options(),
        key=f"{key}:device",
        persist_state="session",
        help="Where the run computes. auto takes a GPU where there is one; the sidebar shows what was found.",
    )
    return int(seed), device


def preset_choice(key: str) -> str:
    """Which preset the options start from; it stands in the link."""
    recall(key, PRESETS)
    preset = st.segmented_control(
        "Preset",
        list(PRESETS),
        default="demo",
        required=True,
        key=key,
        bind="query-params",
        width="stretch",
        help="  \n".join(f"**{name}**: {text}" for name, text in PRESETS.items()),
    )
    return remember(key, preset)


def pictures_help(method: Any, config: Config) -> str:  # noqa: ANN401 - a class of methods, which need torch
    """What a method does with the real pictures that it is given.

    Args:
        method: Its class.
        config: Its preset's.
    """
    text = "A class-folder data set DIR/{train,val,test}/<class>/<picture>, or sample:NAME. "
    if not method.data_free:
        return f"{text}This method is not data-free: it learns from the split train, so a folder must be named here."
    text += "It measures the model, on validation classes while it is trained and on test classes at the end. "
    if getattr(config, "watch", "") == "validation":
        text += (
            "This method also looks at labelled pictures of the validation classes while it learns, and names them as "
            "side information; `watch=training` does without. "
        )
    if hasattr(config, "keep"):
        text += "With `keep=best` the validation classes also choose the weights. "
    return f"{text}Left empty, the embedded sample of the zoo's domain takes its place."


def training_form() -> None:
    """Choose a zoo and a method, and queue a meta-training."""
    # The first time this shows that it works, which inside a cell would push its chooser below the others.
    registry = methods()
    grid = st.grid(3, min_column_width=200)
    with grid.cell():
        zoo = zoo_cell()
    if zoo is None:
        return
    with grid.cell():
        recall("method", registry)
        name = st.selectbox(
            "Method",
            _ordered(registry.names()),
            key="method",
            bind="query-params",
            help="The way from the teachers to a meta-model; the line below says how it works. "
            "random is the floor, real-data the ceiling, which is not data-free.",
        )
        remember("method", name)
    method = registry.get(name)
    with grid.cell():
        preset = preset_choice("preset")
    st.caption(f"**{method.title}**: {method.summary}", help=method.reference)
    ways = [len(teacher.classes) for teacher in zoo.teachers]
    cost = first_run_text(method.preset(preset), ways, remote=bool(zoo.address))
    long = training_text(name, preset)
    if long and not cost:
        st.caption(long)
    if cost:
        st.caption(
            f"{long} {cost}", help=f"`python -m dfml zoo prepare ZOO --method {name}` does it beforehand, on all cores."
        )
    with st.form(f"train:{name}:{preset}", border=False):
        options = st.grid(5, min_column_width=120)
        values = config_form(method.preset(preset), options, key=f"{name}:{preset}")
        seed, device = seed_and_device(options, "train")
        label, data = "", ""

        def real_pictures(cells: GridContainer, waiting: str) -> str:
            return cells.text_input(
                "Real pictures",
                key="train:data",
                persist_state="session",
                placeholder=waiting,
                help=pictures_help(method, method.preset(preset)),
            ).strip()

        if not method.data_free:  # it needs them, so they stand in the open
            data = real_pictures(options, "a folder DIR")

        def name_and_data(cells: GridContainer) -> None:
            nonlocal label, data
            label = cells.text_input(
                "Name of the run", key="train:label", max_chars=80, placeholder=f"{name} on {zoo.name}"
            ).strip()
            if method.data_free:
                data = real_pictures(cells, "the embedded sample")

        values |= more_options(method.preset(preset), key=f"{name}:{preset}", first=name_and_data)
        with st.container(horizontal=True, vertical_alignment="center"):
            start = st.form_submit_button("Start training", type="primary", icon=":material/play_arrow:")
            st.caption(
                "You may start several: they wait in line, and one works on a device at a time.", width="stretch"
            )
    if start:
        _launch(
            kind="train",
            method=name,
            zoo=zoo.reference,
            data=data or None,
            preset=preset,
            config=(method, values),
            seed=seed,
            device=device,
            label=label,
        )


def _ordered(names: list[str]) -> list[str]:
    """The method of this app first, then the others as registered."""
    return sorted(names, key=lambda name: name != "purer")


def _launch(*, config: tuple, **order: object) -> None:
    from dfml.runs import launcher
    from dfml.runs.spec import RunSpec

    owner, values = config
    started = None
    with one_line_errors():
        whole = owner.Config.parse(values).model_dump(mode="json")
        owner.check_data(order["data"])
        started = launcher.start(RunSpec.parse({**order, "config": whole}))
    if started is not None:
        go_to_run(started.path.name)


RECOVERY, REVISION, BY_QUERIES = 9.5, 5.0, 109.0
"""Seconds of one thread for a teacher of the embedded Conv4 zoo, with the demos' options: recovering its pictures,
revising them until all teachers agree, and recovering them from answers alone. They lie between what was measured on
different days."""
CORES = 2
MEASURED = REPOSITORY / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json"
"""Where every demo was timed, one after the other on two cores."""


def kept_recoveries(config: Config, ways: Sequence[int]) -> int:
    """How many recoveries the runs of a config keep for each other.

    Args:
        config: Of a method.
        ways: Classes of each teacher of the zoo.

    Returns:
        Their number; 0 for a method that keeps none.
    """
    if getattr(config, "recovered", "") != "kept":
        return 0
    # Pictures are revised by all teachers together; without that only those whose heads fit are asked.
    fitting = len(ways) if getattr(config, "consensus", 0) else list(ways).count(getattr(config, "way", 0))
    return min(fitting, getattr(config, "apis", fitting)) * getattr(config, "visits", 1)


def first_run_seconds(config: Config, ways: Sequence[int]) -> float:
    """Roughly how many seconds of two CPU cores these recoveries take; arguments as of ``kept_recoveries``."""
    by_queries = getattr(config, "oracle", "") == "zeroth-order"
    each = BY_QUERIES if by_queries else RECOVERY + (REVISION if getattr(config, "consensus", 0) else 0.0)
    return kept_recoveries(config, ways) * each / CORES


def first_run_text(config: Config, ways: Sequence[int], *, remote: bool = False) -> str:
    """What to tell before a run is started; empty where the first one costs no more than the others.

    Args:
        config: Of the method's preset.
        ways: Classes of each teacher of the zoo.
        remote: The teachers are behind a server, whose speed decides.
    """
    count = kept_recoveries(config, ways)
    if not count:
        return ""
    minutes = max(1, round(first_run_seconds(config, ways) / 60))
    long = "as long as the server needs" if remote else f"about {minutes} minute{'s' * (minutes > 1)} on two CPU cores"
    recoveries = "1 recovery" if count == 1 else f"{count} recoveries"
    text = (
        "The first run on a zoo also recovers pictures of its teachers and keeps them, unless they are kept already: "
    )
    text += f"here {recoveries}, {long}. Later runs take those."
    if hasattr(config, "query_inversion_steps"):
        text += " Query sets, which follow the student, are recovered in every run."
    return text


def training_text(method: str, preset: str, *, measured: Path = MEASURED) -> str:
    """How long the training itself takes; empty where nobody measured it.

    Args:
        method: Its name.
        preset: The form's.
        measured: The table of all methods.
    """
    seconds = _measured(measured).get(method, 0.0) if preset == "demo" else 0.0
    if not seconds:
        return ""
    long = f"{round(seconds / 60)} minutes" if seconds >= 90 else f"{max(1, round(seconds))} seconds"
    return f"A run of this demo took {long} on two CPU cores (zoo cifar-fs-conv4)."


@cache
def _measured(path: Path) -> dict[str, float]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {row["method"]: float(row["seconds"]) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    return {}
