"""Polluted zoos on the zoo page: hide deceptive teachers in a zoo, and see afterwards which ones they were."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.paths import runs_root
from dfml.ui.widgets.forms import all_options
from dfml.ui.widgets.messages import one_line_errors
from dfml.ui.widgets.metrics import percent
from dfml.ui.widgets.registries import polluting
from dfml.ui.widgets.texts import spaced
from dfml.ui.zoo.choose_zoo import choose_next, open_listing
from dfml.zoo.listing import ZooListing, zoo_names

KEPT = 20
"""Honest teachers that the form starts with, as ``bench pollution`` does."""
KINDS = {"clean": "honest", "ood": "of another domain", "fake": "untrained"}


def pollution_panel(zoo: ZooListing) -> None:
    """Draw who deceives in a polluted zoo, after a click; for any other the form that makes one of it."""
    if zoo.address:
        return
    folder = zoo.folder.resolve()
    if folder.with_name(f"{folder.name}.truth.json").is_file():  # ``truth_file`` without torch
        _truth(zoo)
        return
    title, icon = "Hide deceptive teachers in a copy", ":material/domino_mask:"
    box = st.expander(title, key="pollution_open", icon=icon, on_change="rerun")
    if box.open:
        with box:
            _form(zoo)


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
        told = " They give themselves away by the size of their images." if unlike else ""
        st.caption(f"{'; '.join(counts)}.{told}")
        columns = {
            "Teacher": [row.id for row in rows],
            "It is": [KINDS.get(kind, kind) for kind in kinds],
            "Accuracy that it claims": [percent(row.accuracy) for row in rows],
            "Classes that it claims": [spaced(", ".join(row.class_names)) for row in rows],
        }
        st.dataframe(columns, hide_index=True, height=300, alt=f"Table of {len(rows)} teachers and what they are")


def _form(zoo: ZooListing) -> None:
    st.caption(
        "TEAPOT's two attacks. **ood**: teachers of another domain (characters) claim classes of this zoo. **fake**: "
        "networks that nobody trained claim classes and an accuracy. `teapot` learns on the way whom to trust."
    )
    module = polluting()
    same = _same_domain(zoo, module.OTHER_DOMAIN)
    with st.form(f"pollute:{zoo.reference}", border=False):
        config = module.PollutionConfig(keep=min(KEPT, len(zoo.teachers)), attack="fake" if same else "both")
        # Of this zoo: another one's number of teachers would not do here.
        values = all_options(config, st.grid(4, min_column_width=130), key=f"pollute:{zoo.reference}")
        made = st.form_submit_button("Make the polluted zoo", icon=":material/domino_mask:")
    if made:
        with one_line_errors(), st.spinner("Writing the zoo …"):
            chosen = module.PollutionConfig.parse(values)
            if same and chosen.attack != "fake":
                raise BadInput(
                    f"the teachers of {module.OTHER_DOMAIN}, which deceive here, are of this zoo's own domain: choose "
                    "the attack fake, or `python -m dfml zoo pollute --source` with a zoo of another domain."
                )
            choose_next(str(make_polluted(zoo, chosen)))


def _same_domain(zoo: ZooListing, other: str) -> bool:
    return other in zoo_names() and open_listing(other).domain == zoo.domain


def make_polluted(zoo: ZooListing, config: Any) -> Path:  # noqa: ANN401 - a PollutionConfig, whose module needs torch
    """Write the polluted copy below the runs' folder, or find the one that was made of the same; returns its folder.

    Raises:
        BadInput: See ``pollute_zoo``.
    """
    from dfml.zoo import open_zoo

    module, clean = polluting(), open_zoo(zoo.reference)
    facts = f"{zoo.reference} {[(card.id, card.sha256) for card in clean.cards]} {config.model_dump_json()}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:6]
    out = runs_root() / "zoos" / f"{Path(zoo.name).name}-{config.attack}-{round(100 * config.rate):02d}-{key}"
    if not ((out / "zoo.json").is_file() and module.truth_file(out).is_file()):
        out.parent.mkdir(parents=True, exist_ok=True)
        source = None if config.attack == "fake" else open_zoo(module.OTHER_DOMAIN)
        module.pollute_zoo(clean, out, config, source)
    return out
