from typing import Literal

import pytest
from pydantic import Field
from streamlit.testing.v1 import AppTest

from dfml.core.config import Config
from dfml.ui.widgets.forms import main_first, number_format, number_step, words


class EveryKind(Config):
    """One field of each kind."""

    iterations: int = Field(10, ge=1, le=100, description="Whole number.")
    inner_lr: float = Field(0.025, gt=0, le=1, description="Number.")
    learner: Literal["maml", "anil"] = Field("anil", description="Choice.")
    flip: bool = Field(True, description="Switch.")
    width: int | None = Field(None, ge=2, le=64, description="Optional number.")
    names: list[str] = Field(["a", "b"], description="List.")


def test_labels_are_words():
    assert words("inner_lr") == "Inner learning rate"
    assert words("bn") == "BN"
    assert words("validate_every") == "Validate every"


@pytest.mark.parametrize(("value", "step"), [(0.025, 0.01), (1.0, 1.0), (30.0, 10.0), (0.0, 0.1), (-0.002, 0.001)])
def test_a_step_is_one_unit_of_the_first_digit(value, step):
    assert number_step(value) == pytest.approx(step)


def test_small_numbers_are_not_shown_as_zero():
    assert number_format(1e-5) % 1e-5 == "1.0e-05"
    assert number_format(0.07) % 0.07 == "0.07"


def test_main_rows_are_the_known_ones_and_none_is_lost():
    rows = EveryKind.describe()
    names = [row["name"] for row in main_first(rows)]
    assert names[:2] == ["iterations", "learner"] and sorted(names) == sorted(EveryKind.model_fields)


def draw(module):
    import importlib

    import streamlit as st

    from dfml.ui.widgets.forms import all_options

    kind = importlib.import_module(module).EveryKind if isinstance(module, str) else module
    st.session_state["values"] = all_options(kind(), st.grid(2), key="k")


def test_the_form_gives_back_the_config_it_started_from_and_every_change():
    app = AppTest.from_function(draw, args=(EveryKind,), default_timeout=30).run()
    assert not app.exception
    assert EveryKind.parse(app.session_state["values"]) == EveryKind()
    app.number_input(key="k:iterations").set_value(50)
    app.number_input(key="k:inner_lr").set_value(0.5)
    app.selectbox(key="k:learner").set_value("maml")
    app.toggle(key="k:flip").set_value(False)
    app.number_input(key="k:width").set_value(16)
    app.text_input(key="k:names").set_value("c, d")
    app.run()
    changed = EveryKind.parse(app.session_state["values"])
    assert changed == EveryKind(iterations=50, inner_lr=0.5, learner="maml", flip=False, width=16, names=["c", "d"])


def test_widgets_carry_the_fields_range_and_sentence():
    app = AppTest.from_function(draw, args=(EveryKind,), default_timeout=30).run()
    widget = app.number_input(key="k:iterations")
    assert (widget.min, widget.max, widget.help) == (1, 100, "Whole number.")
