"""How the browser's half of a component gets to the browser: text of the files beside this one.

Streamlit sends this text with each message of a component, so comments and indentation stay behind.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from streamlit.components import v2

HERE = Path(__file__).parent
PARTS = {
    "line_chart": ("base", "chart"),
    "tile_grid": ("base", "tiles"),
    "point_map": ("base", "tiles", "points"),
    "replay": ("base", "chart", "tiles", "points"),
    "answer_bars": ("base",),
    "moving_map": ("base", "tiles", "points"),
    "shelf": ("base", "tiles"),
}
"""Which shared files a component's own is appended to."""


def component(name: str, own: Path = HERE, parts: Sequence[str] = ()) -> Any:  # noqa: ANN401 - Streamlit's callable
    """Return what mounts a component; ``name.js`` and, where there is one, ``name.css`` lie in the folder ``own``.

    One that lies elsewhere names the shared files, ``parts``, that its own are appended to.
    """
    places = [*(HERE / part for part in parts or PARTS[name]), own / name]
    scripts = "\n".join(lean(place.with_suffix(".js").read_text(encoding="utf-8")) for place in places)
    styles = [place.with_suffix(".css") for place in places]
    style = "\n".join(lean(file.read_text(encoding="utf-8")) for file in styles if file.is_file())
    return v2.component(f"dfml_{name}", html='<div class="all"></div>', css=style, js=scripts)


class Prepared(NamedTuple):
    """What a component shows, ready to be sent: made once, it is drawn on the page of each who looks at the same."""

    mount: Any
    data: bytes
    height: int | Literal["content"]

    def draw(self, key: str, **look: Any) -> Any:  # noqa: ANN401 - as Streamlit's callable
        """Draw it."""
        return self.mount(data=self.data, key=key, height=self.height, **look)


def prepared(mount: Any, data: Mapping[str, Any], height: int | Literal["content"]) -> Prepared:  # noqa: ANN401
    """Turn what a component is told into text for the browser, whose script asks ``told`` for it (``base.js``)."""
    return Prepared(mount, json.dumps(data, separators=(",", ":")).encode(), height)


def lean(text: str) -> str:
    """Leave out the comments that have lines of their own, and indentation; no string of these files has line ends."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def number(value: float | None, digits: int = 5) -> float | None:
    """Return a number as JSON can hold it, rounded to so many significant digits; None for one that is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def numbers(values: Iterable[float | None], digits: int = 5) -> list[float | None]:
    """Return many of them."""
    return [number(value, digits) for value in values]


def mark_of(*parts: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a short text that differs where the parts do: what a component shows is built anew only then."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def nth(texts: Sequence[str], place: int) -> str:
    """Return a text of a list that may be shorter, or empty."""
    return str(texts[place]) if place < len(texts) else ""
