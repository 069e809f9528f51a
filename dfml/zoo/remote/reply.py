"""What a server answered, read with care: its bytes may be anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dfml.core.texts import printable


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status.
        header_length: Bytes of JSON before the tensors in ``body``, or None where all of it is JSON.
        kind: Content type, as received.
        body: Its bytes.
    """

    status: int
    header_length: int | None
    kind: str
    body: bytes

    def read(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def says(self) -> str:
        """The server's own words on a failure, fit to be shown, or an empty string."""
        value = self.read()
        error = value.get("error", value.get("detail")) if isinstance(value, dict) else None
        return f" ({printable(str(error))})" if error else ""
