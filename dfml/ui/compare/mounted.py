"""The browser's half of this page's own components: files beside this one, behind what all components share."""

from pathlib import Path
from typing import Any

from streamlit.components import v2

from dfml.ui.components.mounting import HERE as SHARED
from dfml.ui.components.mounting import lean

HERE = Path(__file__).parent


def own_component(name: str) -> Any:  # noqa: ANN401 - Streamlit's callable, which mounts it
    """Return what mounts a component, made of ``name.js`` and ``name.css`` in this folder."""
    script, style = (
        "\n".join(lean(path.read_text(encoding="utf-8")) for path in (SHARED / f"base.{kind}", HERE / f"{name}.{kind}"))
        for kind in ("js", "css")
    )
    return v2.component(f"dfml_{name}", html='<div class="all"></div>', css=style, js=script)
