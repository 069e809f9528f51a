"""A form that hides deceptive teachers in a copy of a zoo, and who they were, for those who ask."""

import hashlib
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.paths import own_zoos
from dfml.core.remedies import PROGRAM
from dfml.ui.widgets.forms import all_options, polluting
from dfml.ui.widgets.texts import counted, one_line_errors, percent, spaced, table_height
from dfml.ui.zoo.choose_zoo import choose_next, open_listing
from dfml.zoo.build.zoo_config import PollutionConfig
from dfml.zoo.listing import ZooListing, zoo_names

KINDS = {"clean": "honest", "ood": "of another domain", "fake": "untrained"}


def pollution_panel(zoo: ZooListing) -> None:
    """Draw who deceives in a polluted zoo, after a click; for any other the form that makes one of it."""
    if zoo.address:
        return
    folder = zoo.folder.resolve()
    if is_polluted(folder):
        _truth(zoo)
        return
    look: dict[str, Any] = {"key": "pollution_open", "icon": ":material/domino_mask:", "on_change": "rerun"}
    with st.expander("Hide deceptive teachers in a copy", **look) as box:
        if box.open:
            _form(zoo)


def is_polluted(folder: Path) -> bool:
    """Whether some teachers of the zoo in a folder deceive: a file beside it, never in it, says who."""
    return folder.with_name(f"{folder.name}.truth.json").is_file()  # ``truth_file`` without torch


def _truth(zoo: ZooListing) -> None:
    beside = "It stands in a file beside the zoo, which no method reads."
    if not st.toggle("Show who deceives", key=f"truth:{zoo.reference}", help=beside):
        return
    with one_line_errors():
        truth = polluting().pollution_truth(zoo.folder)
        rows = [row for row in zoo.teachers if row.id in truth]
        kinds = [truth[row.id] for row in rows]
        counts = [f"{kinds.count(kind)} {word}" for kind, word in KINDS.items() if kind in kinds]
        unlike = len({row.input_size for row in rows}) > 1
        st.caption("; ".join(counts) + "." + " They give themselves away by the size of their images." * unlike)
        columns = {
            "Teacher": [row.id for row in rows],
            "It is": [KINDS.get(kind, kind) for kind in kinds],
            "Accuracy that it claims": [percent(row.accuracy) for row in rows],
            "Classes that it claims": [spaced(", ".join(row.class_names)) for row in rows],
        }
        alt = f"Table of {len(rows)} teachers and what they are"
        st.dataframe(columns, hide_index=True, height=table_height(len(rows), 8), alt=alt)


def _form(zoo: ZooListing) -> None:
    st.caption(
        "TEAPOT's two attacks. **ood**: teachers of another domain (characters) claim classes of this zoo. **fake**: "
        "networks that nobody trained claim classes and an accuracy. `teapot` learns on the way whom to trust."
    )
    module, key = polluting(), f"pollute:{zoo.reference}"
    same = _same_domain(zoo, module.OTHER_DOMAIN)
    look: dict[str, Any] = {"format": "%d %%", "key": f"{key}:share", "persist_state": "session"}
    share = st.slider("Share of deceptive teachers", 0, 90, 40, step=5, **look)
    told = st.container()
    # As many honest teachers as ``bench pollution`` keeps.
    config = PollutionConfig(keep=min(20, len(zoo.teachers)), attack="fake" if same else "both")
    # Of this zoo: another one's number of teachers would not do here.
    values = all_options(config, st.grid(3, min_column_width=130), key=key, without=["rate"])
    with one_line_errors():
        chosen = PollutionConfig.parse({**values, "rate": share / 100})
        told.markdown(_sentence(chosen, len(zoo.teachers)))
        if st.button("Make the polluted zoo", icon=":material/domino_mask:", key=f"{key}:make"):
            if same and chosen.attack != "fake":
                raise BadInput(
                    f"the teachers of {module.OTHER_DOMAIN}, which deceive here, are of this zoo's own domain: choose "
                    f"the attack fake, or `{PROGRAM} zoo pollute --source` with a zoo of another domain."
                )
            with st.spinner("Writing the zoo …"):
                made = _make_polluted(zoo, chosen)
            choose_next(str(made))


def _sentence(config: PollutionConfig, teachers: int) -> str:
    """Say how many deceptive teachers a zoo of so many teachers gets, among how many; the numbers that are written."""
    honest = config.keep or teachers
    strange, untrained = config.deceptive(honest)
    kinds = [f"{strange} of another domain"] * bool(strange) + [f"{untrained} untrained"] * bool(untrained)
    among = f"among **{counted(honest + strange + untrained, 'teacher')}**"
    if not kinds:
        return f"Nobody deceives {among}: all are honest."
    return f"**{strange + untrained}** will deceive {among}: {' and '.join(kinds)}, beside {honest} honest ones."


def _same_domain(zoo: ZooListing, other: str) -> bool:
    return other in zoo_names() and open_listing(other).domain == zoo.domain


def _make_polluted(zoo: ZooListing, config: PollutionConfig) -> Path:
    """Write the polluted copy below the runs' folder, or find the one that was made of the same; return its folder."""
    from dfml.zoo import open_zoo

    module, clean = polluting(), open_zoo(zoo.reference)
    facts = f"{zoo.reference} {[(card.id, card.sha256) for card in clean.cards]} {config.model_dump_json()}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:6]
    out = own_zoos() / f"{Path(zoo.name).name}-{config.attack}-{round(100 * config.rate):02d}-{key}"
    if not ((out / "zoo.json").is_file() and module.truth_file(out).is_file()):
        out.parent.mkdir(parents=True, exist_ok=True)
        source = None if config.attack == "fake" else open_zoo(module.OTHER_DOMAIN)
        module.pollute_zoo(clean, out, config, source)
    return out
