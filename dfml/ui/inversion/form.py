"""The form that starts recoveries: one teacher, up to three inverters, one seed for all."""

from collections.abc import Collection
from typing import Any

import streamlit as st

from dfml.core.config import Config
from dfml.core.errors import BadInput, DfmlError
from dfml.core.names import on_disk
from dfml.core.paths import read_json
from dfml.data.splits import split_folder
from dfml.runs import launcher
from dfml.runs.jobs.invert import check
from dfml.runs.spec import RunSpec
from dfml.ui.inversion.inverter_cards import inverter_cards, took_text
from dfml.ui.runs.run_rows import MOST, go_to_run, new_group, series_names
from dfml.ui.widgets import forms
from dfml.ui.widgets.choice_cards import choose_card
from dfml.ui.widgets.scenes import LinkedOptions
from dfml.ui.widgets.texts import counted, listed, one_line_errors, plain
from dfml.ui.zoo.choose_zoo import zoo_cell
from dfml.zoo.listing import TeacherRow, ZooListing
from dfml.zoo.oracles.asking import AskingConfig

ASKED_BY = {"auto": "what is granted", "autograd": "gradients", "zeroth-order": "queries only"}
SLOTS = ("inverter", "inverter2", "inverter3")
"""Keys of the choosers, which are also the parameters of a link."""
FIRST = "pixels"
"""The inverter that is chosen at first."""
REAL_PICTURES = (
    "Optional: the class-folder data set DIR/train/<class>/<image> that the teacher was trained on. No inverter sees "
    "it; it adds the privacy report, which compares recovered images with training images."
)
SHADOWS = (
    "For the calibrated membership test of the privacy report: an even number of networks like the teacher, each "
    "trained on half of the real images. Each takes about as long as the teacher did, and is kept."
)
ASKS_FOR = (
    "**gradients** need the teacher's weights. **queries only** treats it as a black box and estimates them from "
    "answers: slow, and without BN statistics. **what is granted** takes gradients where it may."
)


def inversion_form() -> None:
    """Choose a teacher and an inverter, and start a recovery; all else, also further inverters, is folded away."""
    registry = forms.inverters()  # first, as in the form of a training
    top = st.grid(3, min_column_width=200)
    zoo = zoo_cell(top)
    if zoo is None:
        return
    with top.cell():
        ids, text = [row.id for row in zoo.teachers], "The trained classifier to recover images from."
        teacher = forms.lasting(st.selectbox, "Teacher", ids, key="teacher", help=text)
    row = zoo.teacher(teacher) or zoo.teachers[0]
    about = f"**Teacher {plain(row.id)}** knows {plain(listed(row.class_names, 10))}."
    if row.access == "queries":
        about += " It only answers queries: gradients are estimated from its answers, and BN statistics are not seen."
    st.caption(f"{about} It has {'a' if row.judge else 'no'} judge.")
    start_row = st.container(horizontal=True, vertical_alignment="center")
    cards = inverter_cards(registry, forms.preset_chosen())
    chosen = [choose_card("Changes", cards, key=SLOTS[0], first=FIRST, names=top.cell())]
    with st.expander("Options", icon=":material/tune:", key="invert:options"):
        grid = st.grid(4, min_column_width=150)
        preset = forms.preset_cell(grid)
        text = "How many images to recover for each class."
        with grid.cell():
            look: dict[str, Any] = {"min_value": 1, "max_value": 100, "value": 10, "help": text}
            per_class = int(forms.lasting(st.number_input, "Images per class", key="per_class", **look))
        spec = {"kind": "invert", "zoo": zoo.reference, "teachers": [row.id], "preset": preset, "per_class": per_class}
        spec |= forms.seed_and_device(grid, "invert")
        look = {"placeholder": "none", "help": REAL_PICTURES, "persist_state": "session"}
        data = st.text_input("Real images", "", key="invert:data", **look)
        look = {"min_value": 0, "max_value": 64, "value": 0, "step": 2, "help": SHADOWS, "disabled": not data.strip()}
        spec["shadows"] = int(st.number_input("Shadow teachers", key="invert:shadows", **look))
        chosen += _beside(registry)
        choices = [_inverter_options(registry, place, name, preset, row) for place, name in enumerate(chosen)]
        st.markdown("**How teachers are questioned**")
        st.caption(
            "For inverters that ask for queries only. A recovery then asks (q + 1) × images × steps of them: more "
            "directions q give a better gradient and cost more. A run that has spent its budget ends as failed."
        )
        asked = _linked(AskingConfig(), "asking", "a", without=("oracle",))
    with start_row:
        start = st.button("Recover images", type="primary", icon=":material/play_arrow:", key="invert:start")
        told = f"{listed(chosen, MOST)}: {preset} preset, {counted(per_class, 'image')} per class, seed {spec['seed']}"
        together = ". They wait in line: one works on a device at a time." if len(chosen) > 1 else ""
        st.caption(told + together, width="stretch")
    if long := took_text(chosen[0], preset, per_class):
        st.caption(long)
    if start:
        with one_line_errors():
            spec["data"] = check_real_pictures(data, zoo, row)
            _start(f"teacher {row.id} of {zoo.name}", choices, asked, spec)


def _inverter_options(
    registry: Any,  # noqa: ANN401 - Registry[Inverter], which needs torch
    place: int,
    name: str,
    preset: str,
    row: TeacherRow,
) -> tuple[str, dict[str, Any], str]:
    """Draw one inverter's options; return its name, their values, and how it asks its teacher."""
    st.markdown(f"**{place + 1} · {name}**")
    ways = [way for way in ASKED_BY if not (row.access == "queries" and way == "autograd")]
    number = "" if place == 0 else str(place + 1)
    key, look = f"oracle{number}", {"format_func": lambda way: ASKED_BY.get(way, way), "help": ASKS_FOR}
    oracle = forms.lasting(st.selectbox, "Asks for", ways, key=key, **look)
    values = _linked(registry.get(name).preset(preset), f"{place}:{name}:{preset}", f"o{number}")
    return name, values, oracle


def _linked(config: Config, key: str, prefix: str, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Draw all options of a config; those that differ from it stand in the link."""
    linked = LinkedOptions(config, key, prefix)
    linked.take()
    values = forms.all_options(config, st.grid(4, min_column_width=150), key=key, without=without)
    linked.tell(values)
    return values


def _beside(registry: Any) -> list[str]:  # noqa: ANN401 - Registry[Inverter], which needs torch
    """The further inverters that were chosen."""
    text = "Optional: runs beside the first, from the same seed. It may be the same one again, with other options."
    look = {"index": None, "placeholder": "none", "help": text}
    names, grid, chosen = registry.names(), st.grid(2, min_column_width=220), []
    for place, key in enumerate(SLOTS[1:], 2):
        with grid.cell():
            chosen.append(forms.lasting(st.selectbox, f"Inverter {place}", names, key=key, **look))
    return list(filter(None, chosen))


def _start(
    whose: str, choices: list[tuple[str, dict[str, Any], str]], asked: dict[str, Any], common: dict[str, Any]
) -> None:
    """Validate everything, then start one run per inverter; they find each other by their group."""
    common["group"] = new_group() if len(choices) > 1 else ""
    specs = []
    for place, (name, values, oracle) in enumerate(choices):
        try:
            config = forms.inverters().get(name).Config.parse(values).model_dump(mode="json")
            how = AskingConfig.parse({**asked, "oracle": oracle}).model_dump(mode="json")
        except DfmlError as error:
            raise type(error)(f"inverter {place + 1}, {name}: {error}") from None
        specs.append(RunSpec.parse({**common, "method": name, "config": config, "oracle": how}))
        check(specs[-1])
    labels = ({"label": f"{name}: {whose}"[:80]} for name in series_names(specs))
    started = [launcher.start(spec.model_copy(update=its)) for its, spec in zip(labels, specs, strict=True)]
    go_to_run(common["group"] or started[0].path.name)


def check_real_pictures(text: str, zoo: ZooListing, teacher: TeacherRow) -> str | None:
    """Return the folder for the privacy report, None where none is named; ``BadInput`` says why one cannot serve."""
    text = text.strip()
    if not text:
        return None
    if zoo.address:
        raise BadInput("a teacher behind a server names no classes: leave Real images empty.")
    if text.startswith("sample:"):
        raise BadInput(f"{text} is a sample of other classes: give the data set that teacher {teacher.id} learnt from.")
    folder = forms.real_images(text)
    train = split_folder(folder, "train")
    if not teacher.classes:
        raise BadInput(f"teacher {teacher.id} names no classes: its training images cannot be found in {folder}.")
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
            f"teacher {teacher.id} does not record which images it was trained on, so there is nothing to compare "
            "with: leave Real images empty."
        )
    return str(folder)
