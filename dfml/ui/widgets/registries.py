"""What forms need of rooms that need torch: it is loaded on first need, behind a skeleton."""

from __future__ import annotations

import sys
from pkgutil import resolve_name
from typing import Any

import streamlit as st

from dfml.core.config import Config
from dfml.core.registry import Registry


def methods() -> Registry[Any]:
    """All methods, by name."""
    return _load("dfml.methods:METHODS")


def inverters() -> Registry[Any]:
    """All inverters, by name."""
    return _load("dfml.inversion:INVERTERS")


def asking() -> type[Config]:
    """How teachers are questioned: ``AskingConfig``."""
    return _load("dfml.zoo.oracles.choose:AskingConfig")


def polluting() -> Any:  # noqa: ANN401 - a module
    """The module ``dfml.zoo.build.pollute``."""
    return _load("dfml.zoo.build.pollute")


def _load(name: str) -> Any:  # noqa: ANN401 - whatever stands there
    if "torch" in sys.modules:
        return resolve_name(name)
    with st.container():
        note = st.empty()
        note.caption("Loading PyTorch, once after the start of the server …")
        with st.skeleton(160):
            found = resolve_name(name)
        note.empty()
    return found
