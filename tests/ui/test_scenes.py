"""What a link says of a form's options."""

import pytest

from dfml.inversion import INVERTERS
from dfml.methods import METHODS
from dfml.ui.widgets.scenes import option_text, read_option, whole_number, widget_value

CONFIGS = [registry.get(name).preset(preset) for registry in (METHODS, INVERTERS) for name in registry.names()
           for preset in ("demo", "paper")]  # fmt: skip


def test_every_option_that_a_link_says_is_read_as_it_was():
    for config in CONFIGS:
        values = {**dict(config), **config.model_dump(mode="json")}
        for row in config.describe():
            value = widget_value(row, values[row["name"]])
            told = option_text(value)
            assert len(told) < 60
            if value is not None:
                back = read_option(row, told)
                assert option_text(back) == told and type(back) is type(value), (type(config), row["name"])


ROW = {"choices": None, "type": "integer", "minimum": 1, "maximum": 9}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (ROW, "0"),
        (ROW, "10"),
        (ROW, "x"),
        (ROW, "1.5"),
        (ROW, "9" * 5000),
        (ROW | {"maximum": None}, "9" * 400),
        (ROW | {"maximum": None}, str(2**53)),
        (ROW | {"type": "number"}, "nan"),
        (ROW | {"type": "number", "maximum": None}, "inf"),
        (ROW | {"type": "boolean"}, "maybe"),
        (ROW | {"choices": ["a", "b"]}, "c"),
        (ROW | {"type": "string"}, "x" * 5000),
    ],
)
def test_what_a_field_cannot_be_is_ignored(row, text):
    assert read_option(row, text) is None


def test_a_place_in_a_link_is_a_small_number_or_none():
    assert [whole_number(text, 20) for text in ("0", "7", "007", "20")] == [0, 7, 7, 20]
    odd = (None, "", "21", "-1", "1.0", " 1", "\u0663", "\u00b2", "9" * 5000, "0" * 5000 + "1")
    assert not any(whole_number(text, 20) for text in odd)
