"""A meta-model as a static folder: a page in which people adapt it to their own pictures, without any server's help."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

from dfml.core.paths import filled_folder
from dfml.core.texts import printable
from dfml.data.pictures import fit_picture, open_picture
from dfml.export.graphs import write_features_graph
from dfml.meta.model import MetaModel
from dfml.meta.stored import ADAPTED

PAGE = Path(__file__).with_name("web")
"""The page, and ONNX Runtime for browsers in ``vendor``."""
EMPTY_BOXES = 3
PICTURES = "pictures"


def write_web_page(model: MetaModel, target: Path, support: Mapping[str, Sequence[Path]] | None = None) -> None:
    """Write the folder, which any static server can offer, over what lies there.

    The page starts with the classes and images of ``support``, which lie in the folder in the network's size, or else
    with the names of the classes that the model was adapted to.

    Raises:
        BadInput: An image cannot be read, the packages for ONNX are missing, or it is an ensemble of teachers.
    """
    model.require_one_network("it cannot be exported")
    channels, size, _ = model.input_size
    named = (model.details.get(ADAPTED) or {}).get("classes") or [""] * EMPTY_BOXES
    with filled_folder(target, over=True) as part:
        shutil.copytree(PAGE, part, dirs_exist_ok=True)
        write_features_graph(model, part / "model.onnx")
        classes: list[dict[str, Any]] = [{"name": name, "files": []} for name in named]
        if support:
            (part / PICTURES).mkdir()
            classes = [{"name": name, "files": []} for name in support]
            for at, files in enumerate(support.values()):
                for file in files:
                    # As the network sees them: without what else a photograph's file tells of its place and time.
                    pixels = fit_picture(open_picture(file), size=size, channels=channels)
                    place = f"{PICTURES}/{at}-{len(classes[at]['files'])}.png"
                    Image.fromarray(pixels.squeeze()).save(part / place)
                    classes[at]["files"].append(place)
        method, zoo = (printable(str(model.details.get(key) or "unknown")) for key in ("method", "zoo"))
        about = f"{model.architecture}, trained with {method} on {zoo}: it learns classes from a few pictures each."
        told = {"about": about, "size": size, "channels": channels, "classes": classes}
        (part / "model.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder; what a system takes their kinds for does not matter."""

    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        **{".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"},
        **{".wasm": "application/wasm", ".svg": "image/svg+xml", ".json": "application/json"},
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


def static_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a folder on this machine's loopback address; ``serve_forever`` runs it, port 0 is a free one.

    ``OSError``: the port is taken.
    """
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
