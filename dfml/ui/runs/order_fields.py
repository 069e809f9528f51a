"""What the forms of all runs have in common: zoo, preset, seed, device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from dfml.ui.widgets.device_line import device_options
from dfml.ui.widgets.messages import one_line_errors
from dfml.ui.widgets.remember import lasting
from dfml.ui.zoo.choose_zoo import choose_zoo, open_listing
from dfml.zoo.listing import ZooListing

if TYPE_CHECKING:
    from streamlit.elements.lib.grid_container import GridContainer

PRESETS = {"demo": "minutes on two CPU cores", "paper": "the published setting; hours without a GPU"}


def zoo_cell(grid: GridContainer) -> ZooListing | None:
    """Draw the zoo chooser; None where the chosen one cannot be read, which it says."""
    with grid.cell():
        reference = choose_zoo()
        with one_line_errors():
            return open_listing(reference)
    return None


def preset_cell(grid: GridContainer) -> str:
    """Draw which preset the options start from; it stands in the link."""
    text = "  \n".join(f"**{name}**: {about}" for name, about in PRESETS.items())
    look = {"default": "demo", "required": True, "width": "stretch", "help": text}
    with grid.cell():
        return lasting(st.segmented_control, "Preset", list(PRESETS), key="preset", **look)


def seed_and_device(grid: GridContainer, key: str) -> dict[str, int | str]:
    """Draw both fields; ``key`` is the prefix of the widgets' keys."""
    text = "The same seed gives the same run."
    seed = grid.number_input("Seed", 0, 2**31, 0, step=1, key=f"{key}:seed", persist_state="session", help=text)
    text = "Where the run computes. auto takes a GPU where there is one; the sidebar shows what was found."
    device = grid.selectbox("Device", device_options(), key=f"{key}:device", persist_state="session", help=text)
    return {"seed": int(seed), "device": device}
