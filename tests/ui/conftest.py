from types import SimpleNamespace

import pytest
import streamlit as st

from dfml.ui.charts.figures import DARK, LIGHT


@pytest.fixture(params=["light", "dark"])
def palette(request, monkeypatch):
    """The palette of a theme that the browser shows: each in turn."""
    monkeypatch.setattr(st, "context", SimpleNamespace(theme=SimpleNamespace(type=request.param)))
    return {"light": LIGHT, "dark": DARK}[request.param]
