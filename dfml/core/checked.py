"""What stands in files that anybody may have written, checked once where it is read, so that nobody else has to."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dfml.core.config import one_line
from dfml.core.errors import BadInput

LARGEST_COUNT = 2**53
"""Larger whole numbers are not exact in a browser."""

LATEST = 4e9
"""Seconds since 1970: the year 2096."""

Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=-1e300, le=1e300)]
Moment = Annotated[float, Field(ge=0, le=LATEST)]
Text = Annotated[str, Field(max_length=4000)]


class Record(BaseModel):
    """Base of such records: values of the fields are checked, further ones are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    @classmethod
    def checked(cls, value: Any, what: str) -> dict[str, Any]:  # noqa: ANN401 - foreign JSON
        """The given values, those of the fields in the fields' types.

        Raises:
            BadInput: ``value`` is no table, a field is missing, or one of its values is out of range; in one line.
        """
        if not isinstance(value, dict):
            raise BadInput(f"{what} is damaged: expected a table of values.")
        try:
            return cls.model_validate(value).model_dump(exclude_unset=True)
        except ValidationError as error:
            raise BadInput(f"{what} is damaged: {one_line(error, 'value')}") from None
