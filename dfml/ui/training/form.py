"""The form that starts a meta-training, and how long that takes: measured by method, estimated for first recoveries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.config import Config
from dfml.core.remedies import PROGRAM
from dfml.runs import launcher
from dfml.runs.jobs.train import check
from dfml.runs.spec import RunSpec
from dfml.ui.runs.run_rows import go_to_run
from dfml.ui.training.cost_panel import ask_cost, cost_panel
from dfml.ui.training.method_cards import MEASURED, method_cards, took
from dfml.ui.training.sweep_form import sweep_form
from dfml.ui.widgets.choice_cards import choose_card
from dfml.ui.widgets.forms import all_options, methods, preset_cell, preset_chosen, seed_and_device
from dfml.ui.widgets.scenes import LinkedOptions
from dfml.ui.widgets.texts import counted, in_minutes, one_line_errors
from dfml.ui.zoo.choose_zoo import zoo_cell

RECOVERY, REVISION, BY_QUERIES = 9.5, 5.0, 109.0
"""Seconds of one thread for a teacher of the embedded Conv4 zoo, with the demos' options: recovering its images,
revising them until all teachers agree, and recovering them from answers alone. They lie between what was measured on
different days."""
CORES = 2
FIRST = "purer"
"""The method that is chosen at first: this app's first paper."""


def training_form() -> None:
    """Choose a zoo and a method, and queue a meta-training; all else is folded away."""
    # The first time this shows that it works, which inside a cell would push its chooser below the others.
    registry = methods()
    top = st.grid(2, min_column_width=240)
    zoo = zoo_cell(top)
    if zoo is None:
        return
    # Above the cards: what is chosen can be started at once, on a small screen, too.
    needed, start_row = st.container(), st.container(horizontal=True, vertical_alignment="center")
    cards = method_cards(registry, preset_chosen(), FIRST)
    name = choose_card("Learns from", cards, key="method", first=FIRST, names=top.cell())
    method = registry.get(name)
    folded = st.expander("Options", icon=":material/tune:", key="train:options")
    settings: dict[str, Any] = {"kind": "train", "method": name, "zoo": zoo.reference}
    with folded:
        grid = st.grid(4, min_column_width=150)
        settings["preset"] = preset = preset_cell(grid)
        config = method.preset(preset)
        settings |= seed_and_device(grid, "train")
        look: dict[str, Any] = {"max_chars": 80, "placeholder": f"{name} on {zoo.name}", "persist_state": "session"}
        with folded if method.data_free else needed:  # a method that needs them has them in the open
            waiting = "the embedded sample" if method.data_free else "a folder DIR"
            settings["data"] = _real_pictures(method, config, waiting)
        settings["label"] = grid.text_input("Name of the run", "", key="train:label", **look).strip()
        key = f"{name}:{preset}"
        linked = LinkedOptions(config, key)
        linked.take()
        values = all_options(config, st.grid(4, min_column_width=150), key=key)
        changed = linked.tell(values)
    with start_row:
        start = st.button("Start training", type="primary", icon=":material/play_arrow:", key="train:start")
        text = "Measures a few iterations, in a minute or two, and keeps nothing of them."
        ask = st.button("What will it cost here?", icon=":material/timer:", help=text, key="train:cost")
        st.caption(" · ".join(_told(method, settings, changed)), width="stretch")
    cost = first_run_text(config, [teacher.way for teacher in zoo.teachers], remote=bool(zoo.address))
    if told := " ".join(filter(None, (training_text(name, preset), cost))):
        before = f"`{PROGRAM} zoo prepare ZOO --method {name}` does it beforehand, on all cores."
        st.caption(told, help=before if cost else None)
    if start or ask:
        with one_line_errors():
            whole = method.Config.parse(values).model_dump(mode="json")
            spec = RunSpec.parse({**settings, "config": whole})
            check(spec)
            if start:
                go_to_run(launcher.start(spec).name)
            preset_has = config.model_dump(mode="json")
            ask_cost(spec, {name: value for name, value in whole.items() if value != preset_has.get(name)})
    cost_panel()
    sweep_form(registry, settings, changed)


def _told(method: Any, settings: dict[str, Any], changed: dict[str, str]) -> list[str]:  # noqa: ANN401 - as below
    """What of the folded options a reader should know before starting."""
    told = [f"{method.title}, {settings['preset']} preset", f"seed {settings['seed']}"]
    if changed:
        told.append(f"{counted(len(changed), 'option')} changed")
    return told


def _real_pictures(method: Any, config: Config, waiting: str) -> str | None:  # noqa: ANN401 - as below
    look: dict[str, Any] = {"placeholder": waiting, "persist_state": "session", "help": _pictures_help(method, config)}
    return st.text_input("Real images", "", key="train:data", **look).strip() or None


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
    seconds = first_run_seconds(config, ways)
    long = "as long as the server needs" if remote else f"about {in_minutes(seconds)} on two CPU cores"
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
    long = took(method, preset, table=measured)
    return f"Training by this demo takes {long} on two idle CPU cores (zoo cifar-fs-conv4)." if long else ""
