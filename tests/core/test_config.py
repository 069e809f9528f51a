from typing import ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

from dfml.core.config import Config, Record, Share
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


class Older(Config):
    renamed: ClassVar[dict[str, str]] = {"speed": "lr"}
    lr: float = Field(0.1, gt=0, description="Learning rate.")


class Other(Config):
    renamed: ClassVar[dict[str, str]] = {"count": "steps"}
    steps: int | None = Field(3, description="Steps.")


class Both(Older, Other):
    pass


def test_older_names_of_options_are_read_wherever_they_are_inherited_from(caplog):
    assert Both.parse({"speed": 0.5, "count": 2}) == Both(lr=0.5, steps=2)
    assert Both().override(["speed=0.5", "count=none"]) == Both(lr=0.5, steps=None)
    assert Both().override({"speed": "0.5"}).model_dump() == {"steps": 3, "lr": 0.5}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and all(any(old in line for line in told) for old in ("'speed'", "'count'"))
    with pytest.raises(BadInput, match="'speed'"):
        Both.parse({"speed": 1, "lr": 1})


def test_what_methods_called_otherwise_before_is_still_read():
    from dfml.methods import METHODS

    older = {"agreement": 3, "reliability": "none", "reliability_lr": 0.3}
    teapot = METHODS.get("teapot").preset("demo").override(older)
    assert (teapot.consensus, teapot.teacher_policy, teapot.policy_lr) == (3, "none", 0.3)
    assert METHODS.get("tgr").preset("demo").override(["agreement=0"]).consensus == 0


class Measured(Record):
    share: Share


@pytest.mark.parametrize(("stored", "read"), [(sum([0.1] * 10) + 2e-16, 1.0), (-1e-17, 0.0), (0.25, 0.25), (1, 1.0)])
def test_a_share_that_misses_its_bounds_by_rounding_is_one(stored, read):
    assert Measured.checked({"share": stored}, "a file") == {"share": read}


@pytest.mark.parametrize("stored", [1.001, -0.001, float("nan"), float("inf"), "many"])
def test_a_share_beyond_its_bounds_is_refused(stored):
    with pytest.raises(BadInput):
        Measured.checked({"share": stored}, "a file")
