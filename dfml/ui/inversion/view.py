"""Recoveries side by side: images that emerge from noise, one slider over all, curves, quality, and downloads."""

import io
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.texts import is_address
from dfml.runs.folder import RunFolder
from dfml.ui.inversion.frames import at_share, frames, own_curves, recovery_curves, steps_in_all, teachers_of, warming
from dfml.ui.inversion.privacy import privacy_panel, read_privacy
from dfml.ui.inversion.recoveries import StoredRecovery, by_class, quality_table, stored_recoveries
from dfml.ui.runs.panel import Watched, watch_runs
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.galleries import open_sheet, show_strip, strip
from dfml.ui.widgets.texts import one_line_errors, plain, spaced
from dfml.ui.zoo.choose_zoo import open_listing

PER_ROW, WIDEST, SIDE = 10, 20, 64
WAY = (
    "0 % is the first step, 100 % the last one. Inverters take different numbers of steps, so the same share is "
    "another step in each grid: every grid names the step that it shows. Of long recoveries about twenty steps are "
    "kept, and the nearest kept one is shown; of one that is still going on, at most the newest."
)


def watch_recovery(rows: list[RunRow]) -> None:
    """Show runs side by side; images and numbers move each second until all have ended."""
    text = (
        "Choose a teacher and up to three inverters, then press Recover images: within seconds the teacher's classes "
        "appear here, a column per inverter."
    )
    watch_runs(rows, "inversion", _compared, title="No recovery yet", text=text, icon=":material/image_search:")


def _compared(watched: list[Watched], key: str) -> None:
    """All recoveries of one teacher: images, curves, quality, privacy."""
    stored = [{found.teacher: found for found in stored_recoveries(one.run)} for one in watched]
    known = [name for one, its in zip(watched, stored, strict=True) for name in teachers_of(one.run, its)]
    teacher, *others = list(dict.fromkeys(known)) or [""]
    if others:
        teacher = st.selectbox("Teacher shown", [teacher, *others], key=f"shown_teacher:{key}", width=260)
    found = [(one.name, its.get(teacher)) for one, its in zip(watched, stored, strict=True)]
    _grids(watched, dict(found), teacher, key)
    series = {one.name: own_curves(one.run, teacher) for one in watched}
    totals = {one.name: steps_in_all(one.run, one.status, its) for one, (_, its) in zip(watched, found, strict=True)}
    recovery_curves(series, totals, key=f"curves:{key}")
    quality_table(found, key=f"quality:{key}")
    privacy_panel(found, key=f"privacy:{key}")


def _grids(watched: list[Watched], recoveries: Mapping[str, StoredRecovery | None], teacher: str, key: str) -> None:
    """Each inverter's images at the same share of its way."""
    found = [frames(one.run, one.status, teacher, recoveries[one.name]) for one in watched]
    share, wide = 100, len(watched) == 1
    if any(len(one) > 1 for one in found):
        label = "Share of the way" + ", in all grids" * (not wide)
        share = st.slider(label, 0, 100, 100, step=5, format="%d %%", key=f"way:{key}", help=WAY)
    for (name, run, status), cell, kept in zip(watched, st.columns(len(watched), gap="medium"), found, strict=True):
        with cell, one_line_errors():
            frame, stored = at_share(kept, share / 100), recoveries[name]
            title = "" if wide else f"**{plain(name)}** · "
            if stored and (frame is None or frame is kept[-1]):
                steps = stored.report.get("steps")
                st.markdown(f"{title}last step" + (plain(f", {steps} of {steps}") if steps else ""))
                _class_rows(stored.pictures(), wide=wide)
            elif frame:
                st.markdown(f"{title}{frame.label}")
                names = _class_names(run, teacher, stored)
                _class_rows(by_class(open_sheet(frame.entry), frame.entry.labels, names), wide=wide)
            elif (entry := warming(run)) and (sheet := open_sheet(entry)):
                st.markdown(f"{title}warm-up, meta-step {entry.step}")
                _class_rows(by_class(sheet, entry.labels, []), wide=wide)
                st.caption("Images of another teacher of the zoo: the inverter still learns, before it meets this one.")
            elif status.active:
                st.markdown(f"{title}no images yet")
                st.skeleton(260)
            else:
                st.markdown(f"{title}no images")
            if stored:
                download_row(run, stored, name, key=f"download:{run.name}:{teacher}")


def _class_rows(rows: dict[str, list[Image.Image]], *, wide: bool) -> None:
    """Draw a row per class: its name and its first images; a narrow column folds it, so that they stay large."""
    widest = max((min(PER_ROW, len(pictures)) for pictures in rows.values()), default=1)
    look = {"side": 96, "columns": max(5, widest)} if wide else {"side": 64, "columns": 5}
    for name, pictures in rows.items():
        shown = pictures[:PER_ROW]
        if wide:
            label, place = st.columns([1, 6], vertical_alignment="center", gap="small")
            label.markdown(f"**{plain(name)}**")
        else:
            place = st.container(gap="xxsmall")
            place.caption(plain(name))
        with place:
            cells = [*shown, *[None] * (widest - len(shown))]
            show_strip(cells, f"{len(shown)} images recovered for {name}", **look)
    if any(len(pictures) > PER_ROW for pictures in rows.values()):
        st.caption(f"The first {PER_ROW} of each class; the gallery has all.")


def _class_names(run: RunFolder, teacher: str, stored: StoredRecovery | None) -> list[str]:
    """The teacher's class names, as far as they can be read without asking a server."""
    if stored:
        return stored.classes
    zoo, row = run.spec.zoo or "", None
    with suppress(BadInput):  # a zoo that has gone only costs the names
        row = None if is_address(zoo) else open_listing(zoo).teacher(teacher)
    return [spaced(name) for name in row.class_names] if row else []


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


def download_row(run: RunFolder, recovery: StoredRecovery, name: str, key: str) -> None:
    """Draw the buttons of one recovery; files are made when they are asked for."""
    stem = file_stem(recovery, name)
    arrays = "images, labels, soft_targets and class_names as NumPy arrays."
    contents = "Every option, seed and version, all measures, and the privacy report."
    kinds = (
        ("PNG", "image/png", "All images as one grid, a row per class.", partial(grid_png, recovery)),
        ("npz", "application/octet-stream", arrays, partial(arrays_npz, recovery)),
        ("JSON", "application/json", contents, partial(report_json, run, recovery)),
    )
    with st.container(horizontal=True, gap="xsmall"):
        for label, mime, about, make in kinds:
            file = f"{stem}.{label.lower()}"
            look: dict[str, Any] = {"help": f"{about} ({plain(file)})", "icon": ":material/download:"}
            look |= {"file_name": file, "mime": mime, "key": f"{key}:{label}", "on_click": "ignore"}
            st.download_button(label, make, **look)
