"""Methods and inverters for the forms. They need torch, so they are loaded on first need, behind a skeleton."""

from __future__ import annotations

import sys
from typing import Any

import streamlit as st

from dfml.core.config import Config
from dfml.core.registry import Registry


@st.cache_resource(show_spinner=False)
def _load(kind: str) -> Any:  # noqa: ANN401 - a registry or a config
    if kind == "method":
        from dfml.methods import METHODS

        return METHODS
    if kind == "asking":
        from dfml.zoo.oracles.choose import AskingConfig

        return AskingConfig
    if kind == "polluting":
        from dfml.zoo.build import pollute as pollution

        return pollution
    from dfml.inversion import INVERTERS

    return INVERTERS


def methods() -> Registry[Any]:
    """All methods, by name."""
    return _behind_skeleton("method")


def inverters() -> Registry[Any]:
    """All inverters, by name."""
    return _behind_skeleton("inverter")


def asking() -> type[Config]:
    """How teachers are questioned: ``AskingConfig``."""
    return _behind_skeleton("asking")


def polluting() -> Any:  # noqa: ANN401 - a module
    """The module ``dfml.zoo.build.pollute``."""
    return _behind_skeleton("polluting")


def _behind_skeleton(kind: str) -> Any:  # noqa: ANN401 - see _load
    if "torch" in sys.modules:
        return _load(kind)
    with st.container():
        note = st.empty()
        note.caption("Loading PyTorch, once after the start of the server …")
        with st.skeleton(160):
            registry = _load(kind)
        note.empty()
    return registry
