"""One frozen, self-describing config per method and inverter.

The command line (``--set key=value``), the forms of the app, the option tables in the docs and
``spec.json`` are all made from these classes, so each field carries a range and a sentence.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from dfml.core.errors import BadInput, nearest


class Config(BaseModel):
    """Base of all configs: immutable, unknown keys refused, values validated.

    Attributes:
        renamed: Older names of options and today's. They are still read, with one notice for each.
    """

    renamed: ClassVar[dict[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any], *, what: str = "option") -> Self:
        """Validate ``values`` (strings are converted) into a config.

        Raises:
            BadInput: An unknown key or a value out of its range, in one line.
        """
        values = cls.with_new_names(values)
        for key in values:
            if key not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                key = str(key)[:80]
                raise BadInput(f"unknown {what} {key!r}.{nearest(key, cls.model_fields)} Known: {known}.")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadInput(one_line(error, what)) from None

    def override(self, pairs: list[str] | dict[str, Any]) -> Self:
        """Return a copy with ``key=value`` pairs applied; ``none`` clears an optional field, ``[1, 5]`` is a list.

        Raises:
            BadInput: A pair without ``=``, an unknown key, or a value out of range.
        """
        if isinstance(pairs, list):
            changes: dict[str, Any] = {}
            for pair in pairs:
                key, equals, value = pair.partition("=")
                if not equals:
                    raise BadInput(f"expected key=value, received {pair!r}.")
                name = self.new_name(key.strip())
                changes[key.strip()] = self._from_text(name, value.strip())
        else:
            changes = pairs
        changes = self.with_new_names(changes)
        return type(self).parse({**self.model_dump(), **changes})

    @classmethod
    def new_name(cls, key: str) -> str:
        """Today's name of an option; every class that options are inherited from knows its own older ones."""
        return next(
            (base.__dict__["renamed"][key] for base in cls.__mro__ if key in base.__dict__.get("renamed", ())), key
        )

    @classmethod
    def with_new_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Options under today's names.

        Raises:
            BadInput: One is given under both names.
        """
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
        if text.startswith("["):
            try:
                return json.loads(text)
            except json.JSONDecodeError:
                return text
        return text

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """One row per field for forms and tables.

        Each has name, type, default, minimum, maximum, above and below (whether these two bounds are
        themselves not allowed), choices, optional, help.
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
                    "optional": schema is not whole,
                    "help": field.description or "",
                }
            )
        return rows


@lru_cache
def _tell(old: str, new: str) -> None:
    """Say once that an option has another name now."""
    logging.getLogger("dfml").warning("option %r is called %r now; the older name is still read.", old, new)


def one_line(error: ValidationError, what: str) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors()[0]
    if not first["loc"] and "error" in first.get("ctx", {}):  # said by the config itself, of several options
        return f"{first['ctx']['error']}."
    where = ".".join(str(part) for part in first["loc"])[:80] or what
    received = repr(first["input"])
    shown = received if len(received) <= 80 else received[:77] + "..."
    return f"{what} {where!r}: {first['msg'].lower()}; received {shown}."
