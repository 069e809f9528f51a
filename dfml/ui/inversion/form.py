"""The form that starts recoveries: one teacher, up to three inverters, one seed for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from dfml.core.config import Config
from dfml.core.errors import BadInput, DfmlError
from dfml.core.names import on_disk
from dfml.core.paths import given_path, read_json
from dfml.ui.inversion.comparisons import MOST, new_group, series_names
from dfml.ui.runs.chooser import go_to_run
from dfml.ui.training.form import preset_choice, seed_and_device, zoo_cell
from dfml.ui.widgets.forms import all_options, config_form, more_options
from dfml.ui.widgets.messages import one_line_errors
from dfml.ui.widgets.registries import asking, inverters
from dfml.ui.widgets.remember import recall, remember
from dfml.ui.widgets.texts import plain
from dfml.ui.zoo.panels import spaced
from dfml.zoo.listing import TeacherRow, ZooListing

ASKED_BY = {"auto": "what is granted", "autograd": "gradients", "zeroth-order": "queries only"}
SLOTS = ("inverter", "inverter2", "inverter3")
"""Keys of the choosers, which are also the parameters of a link."""


@dataclass(frozen=True)
class Choice:
    """An inverter as the reader has set it, not yet validated.

    Attributes:
        name: Registered name.
        values: Of its config.
        oracle: One of ``ASKED_BY``.
    """

    name: str
    values: dict[str, Any]
    oracle: str


def inversion_form() -> None:
    """Choose a teacher and inverters, and start a recovery with each."""
    grid = st.grid(3, min_column_width=200)
    with grid.cell():
        zoo = zoo_cell()
    if zoo is None:
        return
    with grid.cell():
        teacher = st.selectbox(
            "Teacher",
            [row.id for row in zoo.teachers],
            key="teacher",
            bind="query-params",
            help="The trained classifier to recover pictures from.",
        )
    row = zoo.teacher(teacher) or zoo.teachers[0]
    registry = inverters()
    with grid.cell():
        preset = preset_choice("preset")
    st.caption(_about(row))
    chosen = _slots(registry)
    black = row.access == "queries"
    with st.form("invert", border=False):
        choices = []
        for place, (cell, name) in enumerate(zip(st.columns(len(chosen), gap="medium"), chosen, strict=True)):
            with cell:
                choices.append(_options(place, name, registry.get(name).preset(preset), preset, black))
        common = st.grid(4, min_column_width=150)
        per_class = common.number_input(
            "Pictures a class",
            1,
            100,
            10,
            key="per_class",
            persist_state="session",
            help="How many pictures to recover for each class.",
        )
        seed, device = seed_and_device(common, "invert")
        data = common.text_input(
            "Real pictures", key="invert:data", persist_state="session", placeholder="none", help=HELP
        )
        asked = _asking()
        start = st.form_submit_button("Recover pictures", type="primary", icon=":material/play_arrow:")
        if len(chosen) > 1:
            st.caption("All start from the same seed and wait in line: one works on a device at a time.")
    if start:
        order = {"preset": preset, "per_class": int(per_class), "seed": seed, "device": device}
        _start(zoo, row, choices, asked, data, order)


def _about(row: TeacherRow) -> str:
    known = ", ".join(map(spaced, row.classes[:10])) + (", …" if len(row.classes) > 10 else "")
    text = f"**Teacher {plain(row.id)}** knows {plain(known)}."
    if row.access == "queries":
        text += " It only answers queries: gradients are estimated from its answers, and BN statistics are not seen."
    return f"{text} It has a judge." if row.judge else f"{text} It has no judge."


def _slots(registry: Any) -> list[str]:  # noqa: ANN401 - Registry[Inverter], which needs torch
    """The inverters that were chosen, at least one."""
    names, chosen = registry.names(), []
    for place, (key, cell) in enumerate(zip(SLOTS, st.columns(MOST, gap="medium"), strict=True)):
        with cell:
            recall(key, names)
            name = st.selectbox(
                f"Inverter {place + 1}",
                names,
                index=0 if place == 0 else None,
                key=key,
                bind="query-params",
                placeholder="none" if place else None,
                help="The way to recover pictures; the line below says how it works."
                if place == 0
                else "Optional: runs beside the first, from the same seed. The same inverter may be chosen again, with "
                "other options.",
            )
            remember(key, name)
            if name:
                st.caption(registry.get(name).summary)
                chosen.append(name)
    return chosen or names[:1]


def _options(place: int, name: str, config: Config, preset: str, black: bool) -> Choice:
    """One inverter's own options."""
    key = f"{place}:{name}:{preset}"
    st.markdown(f"**{place + 1} · {name}**")
    grid = st.grid(2, min_column_width=110)
    values = config_form(config, grid, key=key)
    ways = [way for way in ASKED_BY if not (black and way == "autograd")]
    oracle = st.selectbox(
        "Asks for",
        ways,
        format_func=ASKED_BY.get,
        key=f"{place}:oracle",
        persist_state="session",
        help="**gradients** need the teacher's weights. **queries only** treats it as a black box and estimates them "
        "from answers: slow, and without BN statistics. **what is granted** takes gradients where it may.",
    )
    values |= more_options(config, key=key)
    return Choice(name, values, oracle)


def _asking() -> dict[str, Any]:
    """How a black box is questioned, the same for all."""
    with st.expander("How teachers are questioned", icon=":material/forum:"):
        st.caption(
            "For inverters that ask for queries only. A recovery then asks (q + 1) × pictures × steps of them: more "
            "directions q give a better gradient and cost more. A run that has spent its budget ends as failed."
        )
        return all_options(asking()(), st.grid(3, min_column_width=150), key="asking", without=("oracle",))


def _start(
    zoo: ZooListing, row: TeacherRow, choices: list[Choice], asked: dict[str, Any], data: str, order: dict[str, Any]
) -> None:
    """Validate everything, then start one run an inverter; they find each other by their group."""
    from dfml.runs import launcher
    from dfml.runs.spec import RunSpec

    started = []
    group = new_group() if len(choices) > 1 else ""
    with one_line_errors():
        real = check_real_pictures(data, zoo, row)
        specs = []
        for place, choice in enumerate(choices):
            try:
                config = inverters().get(choice.name).Config.parse(choice.values)
                how = asking().parse({**asked, "oracle": choice.oracle})
            except DfmlError as error:
                raise type(error)(f"inverter {place + 1}, {choice.name}: {error}") from None
            specs.append(
                RunSpec.parse(
                    {
                        **order,
                        "kind": "invert",
                        "method": choice.name,
                        "zoo": zoo.reference,
                        "teachers": [row.id],
                        "data": real,
                        "config": config.model_dump(mode="json"),
                        "oracle": how.model_dump(mode="json"),
                        "group": group,
                    }
                )
            )
        for name, spec in zip(series_names(specs), specs, strict=True):
            label = f"{name}: teacher {row.id} of {zoo.name}"[:80]
            started.append(launcher.start(spec.model_copy(update={"label": label})))
    if len(started) == len(choices):
        go_to_run(group or started[0].path.name)


HELP = (
    "Optional: the class-folder data set DIR/train/<class>/<picture> that the teacher was trained on. No inverter sees "
    "it; it adds the privacy report, which compares recovered pictures with training pictures."
)


def check_real_pictures(text: str, zoo: ZooListing, teacher: TeacherRow) -> str | None:
    """The folder for the privacy report, or None where the field was left empty.

    Raises:
        BadInput: It cannot serve for this teacher; one line that says why.
    """
    text = text.strip()
    if not text:
        return None
    if zoo.address:
        raise BadInput("a teacher behind a server names no classes: leave Real pictures empty.")
    if text.startswith("sample:"):
        raise BadInput(f"{text} is a sample of other classes: give the data set that teacher {teacher.id} learnt from.")
    folder = given_path(text)
    if not (folder / "train").is_dir():
        raise BadInput(f"no folder {folder / 'train'}: Real pictures wants a data set DIR/train/<class>/<picture>.")
    if not teacher.named:
        raise BadInput(f"teacher {teacher.id} names no classes: its training pictures cannot be found in {folder}.")
    train = folder / "train"
    missing = [name for name in teacher.classes if not (train / on_disk(train, name)).is_dir()]
    if missing:
        raise BadInput(
            f"{train} lacks {len(missing)} of teacher {teacher.id}'s classes, such as {missing[0]!r}: give "
            "the data set that it was trained on."
        )
    details = zoo.folder / teacher.id / "dfml.json"
    card = read_json(details, "card") if details.is_file() else None
    recipe = card.get("pretraining") if isinstance(card, dict) else None
    if not isinstance(recipe, dict) or not isinstance(recipe.get("held_out"), float):
        raise BadInput(
            f"teacher {teacher.id} does not record which pictures it was trained on, so there is nothing to compare "
            "with: leave Real pictures empty."
        )
    return str(folder)
