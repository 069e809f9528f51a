"""The part of the form that starts a sweep: one training for each of several methods and seeds, in line."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dfml.runs.lab.sweep import MOST_RUNS, configs_of, start_sweep, sweep_specs
from dfml.ui.runs.run_rows import go_to_run
from dfml.ui.training.method_cards import MEASURED, measured
from dfml.ui.widgets.texts import counted, in_minutes, one_line_errors

ABOUT = (
    "One training for each method and seed, in line: one works on a device at a time. Methods take the options above "
    "that they have and that differ from the preset. The Compare page then shows means over seeds, with intervals."
)


def sweep_form(registry: Any, settings: Mapping[str, Any], changed: Mapping[str, str]) -> None:  # noqa: ANN401 - Registry[Method]
    """Draw the folded box; ``settings`` are the fields of a single run's spec, ``changed`` its options in words."""
    box = st.expander("Sweep over methods and seeds", icon=":material/stacks:", key="train:sweep")
    with box:
        st.caption(ABOUT)
        grid = st.grid(2, min_column_width=220)
        look: dict[str, Any] = {"persist_state": "session", "placeholder": "the chosen one"}
        chosen = grid.multiselect("Methods", list(registry.names()), key="sweep:methods", **look)
        text = f"So many, from the seed of the options on. A sweep has at most {MOST_RUNS} runs."
        look = {"persist_state": "session", "help": text}
        count = int(grid.number_input("Seeds", 1, MOST_RUNS, 3, key="sweep:seeds", **look))
        names = chosen or [settings["method"]]
        runs = len(names) * count
        with st.container(horizontal=True, vertical_alignment="center"):
            start = st.button(f"Start {counted(runs, 'training')}", icon=":material/play_arrow:", key="sweep:start")
            st.caption(_long(names, count, settings["preset"]), width="stretch")
        if start:
            with one_line_errors():
                configs = configs_of(names, settings["preset"], [f"{key}={value}" for key, value in changed.items()])
                common = {name: settings[name] for name in ("zoo", "preset", "data", "device", "cluster")}
                seeds = range(settings["seed"], settings["seed"] + count)
                go_to_run(start_sweep(sweep_specs(configs, seeds, **common))[0].name)


def _long(names: list[str], count: int, preset: str) -> str:
    """How long the trainings take together, where all were measured; images that are recovered first come on top."""
    known = measured(MEASURED)
    if preset != "demo" or not all(name in known for name in names):
        return "They may be stopped one by one."
    seconds = count * sum(known[name].seconds for name in names)
    return f"Together about {in_minutes(seconds)} on two idle CPU cores, after images are recovered once."
