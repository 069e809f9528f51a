"""What a link says of a form's options."""

import pytest

from dfml.inversion import INVERTERS
from dfml.methods import METHODS
from dfml.ui.widgets.scenes import option_text, read_option, widget_value

CONFIGS = [registry.get(name).preset(preset) for registry in (METHODS, INVERTERS) for name in registry.names()
           for preset in ("demo", "paper")]  # fmt: skip


def test_every_option_that_a_link_says_is_read_as_it_was():
    for config in CONFIGS:
        values = config.model_dump(mode="json")
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
        (ROW | {"type": "number"}, "nan"),
        (ROW | {"type": "number", "maximum": None}, "inf"),
        (ROW | {"type": "boolean"}, "maybe"),
        (ROW | {"choices": ["a", "b"]}, "c"),
        (ROW | {"type": "string"}, "x" * 5000),
    ],
)
def test_what_a_field_cannot_be_is_ignored(row, text):
    assert read_option(row, text) is None
