from typing import Literal

import pytest
from pydantic import Field, ValidationError

from dfml.core.config import Config
from dfml.core.errors import BadInput


class Recipe(Config):
    steps: int = Field(10, ge=1, le=100, description="Steps.")
    rate: float = Field(0.1, gt=0, le=1, description="Rate.")
    mode: Literal["a", "b"] = Field("a", description="Mode.")
    width: int | None = Field(None, ge=2, le=64, description="Width.")
    shots: list[int] = Field([1, 5], description="Shots.")
    fast: bool = Field(False, description="Fast.")


def test_pairs_are_converted_and_checked():
    changed = Recipe().override(["steps=20", "rate = 0.5", "mode=b", "width=8", "shots=[1, 2, 3]", "fast=true"])
    assert changed == Recipe(steps=20, rate=0.5, mode="b", width=8, shots=[1, 2, 3], fast=True)
    assert changed.override(["width=none"]).width is None
    assert changed.override({"steps": 3}).steps == 3


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("step=3", "Did you mean 'steps'"),
        ("steps", "expected key=value"),
        ("steps=0", "'0'"),
        ("steps=many", "'many'"),
        ("rate=nan", "nan"),
        ("rate=inf", "inf"),
        ("mode=c", "'a' or 'b'"),
        ("steps=none", "'none'"),
        ("shots=[1,", "'[1,'"),
    ],
)
def test_a_bad_pair_gives_one_line(pair, says):
    with pytest.raises(BadInput) as caught:
        Recipe().override([pair])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configs_are_frozen():
    with pytest.raises(ValidationError):
        Recipe().steps = 3


def test_a_long_value_is_not_printed_whole():
    with pytest.raises(BadInput) as caught:
        Recipe.parse({"shots": {"x": "y" * 5000}})
    assert len(str(caught.value)) < 300


def test_every_field_is_described_for_forms():
    rows = {row["name"]: row for row in Recipe.describe()}
    assert rows["steps"]["type"] == "integer"
    assert (rows["steps"]["minimum"], rows["steps"]["maximum"]) == (1, 100)
    assert (rows["steps"]["above"], rows["steps"]["below"]) == (False, False)
    assert (rows["rate"]["minimum"], rows["rate"]["above"]) == (0, True)
    assert (rows["rate"]["maximum"], rows["rate"]["below"]) == (1, False)
    assert rows["mode"]["choices"] == ["a", "b"]
    assert rows["width"]["type"] == "integer"
    assert rows["width"]["maximum"] == 64
    assert rows["width"]["optional"]
    assert not rows["steps"]["optional"]
    assert all(row["help"] for row in rows.values())
