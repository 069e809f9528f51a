"""What of a recovery can be taken home."""

import io
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dfml.core.errors import BadInput
from dfml.runs.folder import RunFolder
from dfml.ui.inversion.contact_sheet import contact_sheet
from dfml.ui.inversion.privacy import read_privacy
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.galleries import strip
from dfml.ui.widgets.take_away import File, take_away

WIDEST, SIDE = 20, 64
"""Images in a row of the bare grid, and the pixels of each."""


def grid_png(recovery: StoredRecovery) -> bytes:
    """Return all images, a row per class; a class with many takes several. Raises as ``StoredRecovery.pictures``."""
    rows = recovery.pictures()
    columns = min(WIDEST, max(map(len, rows.values()), default=1))
    cells = []
    for pictures in rows.values():
        cells += [*pictures, *[None] * (-len(pictures) % columns)]
    side = max(SIDE, *(max(cell.size) for cell in cells if cell))
    buffer = io.BytesIO()
    strip(cells, side=side, columns=columns).save(buffer, "PNG")
    return buffer.getvalue()


def arrays_npz(recovery: StoredRecovery) -> bytes:
    """Return ``images`` [N, C, H, W] in [0, 1], ``labels`` [N], ``soft_targets`` [N, way], ``class_names`` [way].

    ``np.load`` opens them without pickle. Raises ``BadInput`` where the images are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(recovery.folder / "pictures.safetensors")
        kept = ("images", "labels", "soft_targets")
        arrays: dict[str, Any] = {name: tensors[name] for name in kept if name in tensors}
        names = np.array(recovery.classes, dtype=np.str_)
    except (SafetensorError, OSError) as error:
        raise BadInput(f"the images of teacher {recovery.teacher} cannot be read: {error}.") from None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, class_names=names)
    return buffer.getvalue()


def report_json(run: RunFolder, recovery: StoredRecovery) -> bytes:
    """Return the spec, the measures, and the privacy report where there is one."""
    found = {"order": run.spec.model_dump(mode="json"), "report": recovery.report, "privacy": read_privacy(recovery)}
    return json.dumps(found, indent=2, ensure_ascii=False).encode()


def file_stem(recovery: StoredRecovery, name: str) -> str:
    """Return a file's name that says where the images come from."""
    zoo = Path(str(recovery.report.get("zoo", "zoo"))).name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{zoo}-{recovery.teacher}-{name}").strip("-")[:80]


def downloads(run: RunFolder, recovery: StoredRecovery, name: str, key: str) -> None:
    """Draw the choice of files of one recovery."""
    stem = file_stem(recovery, name)
    arrays = "images, labels, soft_targets and class_names as NumPy arrays."
    contents = "Every option, seed and version, all measures, and the privacy report."
    labelled = "All images with their classes, how sure teacher and judge are, and how they were made, as one PNG."
    kinds = (
        ("Contact sheet", "-sheet.png", "image/png", labelled, partial(contact_sheet, recovery, run.spec)),
        ("PNG", ".png", "image/png", "All images as one grid, a row per class.", partial(grid_png, recovery)),
        ("npz", ".npz", "application/octet-stream", arrays, partial(arrays_npz, recovery)),
        ("JSON", ".json", "application/json", contents, partial(report_json, run, recovery)),
    )
    take_away([File(label, stem + end, mime, make, about) for label, end, mime, about, make in kinds], key=key)
