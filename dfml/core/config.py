"""Validated values: the configs of methods and inverters, and records of files that anybody may have written.

The command line (``--set key=value``), the forms of the app, the option tables in the docs and ``spec.json`` are all
made from the configs, so each of their fields carries a range and a sentence.
"""

import json
import logging
import numbers
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self, dataclass_transform, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dfml.core.errors import BadInput, nearest, shown

LARGEST_COUNT = 2**53
"""Larger whole numbers are not exact in a browser."""
LATEST = 4e9
"""Seconds since 1970: the year 2096."""

NO_NAMES: Mapping[str, str] = {}

Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
ROUNDING = 1e-9
"""By how much a sum of shares may miss 0 or 1."""


def _without_rounding(value: object) -> object:
    return min(1.0, max(0.0, value)) if isinstance(value, float) and -ROUNDING <= value <= 1 + ROUNDING else value


Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_without_rounding)]
Number = Annotated[float, Field(ge=-1e300, le=1e300)]
Moment = Annotated[float, Field(ge=0, le=LATEST)]
Text = Annotated[str, Field(max_length=4000)]
Options = Any
"""A config of any class that has the options which are told of it."""


def unset(value: object) -> bool:
    """Whether an option is left open: with ``exclude_if=unset`` it is then not written, as before there was one."""
    return value is None


@dataclass_transform(kw_only_default=True)  # for type checkers: an option may be left out, its Field holds a default
class _WithDefaults(type(BaseModel)):
    pass


class Config(BaseModel, metaclass=_WithDefaults):
    """Base of all configs: immutable, unknown keys refused, values validated.

    Attributes:
        renamed: Older names of options and today's. They are still read, with one notice for each.
    """

    renamed: ClassVar[dict[str, str]] = {}
    # Validators are made when a config is first used: a command needs few of them, and they take time.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @classmethod
    def parse(cls, values: dict[str, Any], *, what: str = "option", called: Mapping[str, str] = NO_NAMES) -> Self:
        """Validate ``values`` (strings are converted) into a config.

        ``called`` has the names by which a person knows fields that have another one there, for messages.
        ``BadInput``: an unknown key or a value out of its range, in one line.
        """
        values = cls.with_new_names(values)
        for key in values:
            if key not in cls.model_fields:
                key, known = str(key)[:80], ", ".join(cls.model_fields)
                raise BadInput(f"unknown {what} {key!r}.{nearest(key, cls.model_fields)} Known: {known}.")
        # Whole numbers of NumPy would pass through a float, which has too few digits for large ones.
        whole = {k: int(v) for k, v in values.items() if isinstance(v, numbers.Integral) and not isinstance(v, bool)}
        try:
            return cls.model_validate({**values, **whole})
        except ValidationError as error:
            raise BadInput(_one_line(error, what, called)) from None

    def override(self, pairs: list[str] | dict[str, Any]) -> Self:
        """Return a copy with ``key=value`` pairs applied; ``none`` clears an optional field, ``[1, 5]`` is a list.

        ``BadInput``: a pair without ``=``, an unknown key, or a value out of range.
        """
        changes, texts = (pairs, []) if isinstance(pairs, dict) else ({}, pairs)
        for pair in texts:
            key, equals, value = pair.partition("=")
            if not equals:
                raise BadInput(f"expected key=value, received {pair!r}.")
            changes[key.strip()] = self._from_text(self.new_name(key.strip()), value.strip())
        return type(self).parse({**self.model_dump(), **self.with_new_names(changes)})

    @classmethod
    def new_name(cls, key: str) -> str:
        """Return today's name of an option; every class that options are inherited from knows its own older ones."""
        older = (base.__dict__.get("renamed", {}) for base in cls.__mro__)
        return next((names[key] for names in older if key in names), key)

    @classmethod
    def with_new_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return options under today's names; ``BadInput`` where one is given under both names."""
        found: dict[str, Any] = {}
        for key, value in values.items():
            name = cls.new_name(key)
            if name in found or (name != key and name in values):
                raise BadInput(f"options {key!r} and {name!r} are the same one: give {name!r} only.")
            if name != key:
                _tell(key, name)
            found[name] = value
        return found

    @classmethod
    def _from_text(cls, key: str, text: str) -> Any:  # noqa: ANN401 - any option's value
        field = cls.model_fields.get(key)
        if field is not None and text.lower() in ("none", "null") and type(None) in get_args(field.annotation):
            return None
        try:
            return json.loads(text) if text.startswith("[") else text
        except json.JSONDecodeError:
            return text

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """Return one row per field for forms and tables.

        Each has name, type, default, minimum, maximum, above and below (whether these two bounds are themselves not
        allowed), choices, offered (some of what may be written), optional, help.
        """
        rows = []
        for name, whole in cls.model_json_schema().get("properties", {}).items():
            field = cls.model_fields[name]
            kinds = [kind for kind in whole.get("anyOf", [whole]) if kind.get("type") != "null"]
            schema = kinds[0] if len(kinds) == 1 else whole
            rows.append(
                {
                    "name": name,
                    "type": schema.get("type", "choice" if "enum" in schema else "any"),
                    "default": field.get_default(call_default_factory=True),
                    "minimum": schema.get("minimum", schema.get("exclusiveMinimum")),
                    "maximum": schema.get("maximum", schema.get("exclusiveMaximum")),
                    "above": "exclusiveMinimum" in schema,
                    "below": "exclusiveMaximum" in schema,
                    "choices": schema.get("enum"),
                    "offered": whole.get("examples"),
                    "optional": schema is not whole,
                    "help": field.description or "",
                }
            )
        return rows


class Record(BaseModel):
    """Base of what files may say: checked once where it is read; further values than the fields' are kept as is."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)

    @classmethod
    def checked(cls, value: Any, what: str) -> dict[str, Any]:  # noqa: ANN401 - foreign JSON
        """Return the given values, those of the fields in the fields' types.

        ``BadInput``: ``value`` is no table, a field is missing, or one of its values is out of range; in one line.
        """
        if not isinstance(value, dict):
            raise BadInput(f"{what} is damaged: expected a table of values.")
        try:
            return cls.model_validate(value).model_dump(exclude_unset=True)
        except ValidationError as error:
            raise BadInput(f"{what} is damaged: {_one_line(error, 'value')}") from None


@lru_cache
def _tell(old: str, new: str) -> None:
    """Say once that an option has another name now."""
    logging.getLogger("dfml").warning("option %r is called %r now; the older name is still read.", old, new)


def _one_line(error: ValidationError, what: str, called: Mapping[str, str] = NO_NAMES) -> str:
    """Return the first thing that is wrong, in one line."""
    first = error.errors()[0]
    context = first.get("ctx", {})
    if not first["loc"] and "error" in context:  # said by the config itself, of several options
        return f"{context['error']}."
    where = ".".join(called.get(str(part), str(part)) for part in first["loc"])[:80] or what
    return f"{what} {where!r}: {first['msg'].lower()}; received {shown(first['input'])}."
