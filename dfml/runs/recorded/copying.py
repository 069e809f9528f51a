"""Thinning a finished run to what the pages draw, so that it can ship with the program; see ``dfml.runs.recorded``.

Nothing is measured or computed anew: numbers and images are a choice of the run's own, images are stored at their own
size as WebP, and paths and processes of the machine are left out. Of a run on images of a data set none is copied.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.evenly import evenly
from dfml.core.events import TASK
from dfml.core.paths import claim_folder, filled_folder, read_json, write_json
from dfml.runs.folder import IMAGES, MODEL, RECOVERED, RESULT, RunFolder
from dfml.runs.grids import GAP, MAX_TILES, cut_grid, grid_columns
from dfml.runs.metrics import LINE, METRICS
from dfml.runs.spec import SPEC
from dfml.runs.status import STATUS, read_raw
from dfml.zoo.listing import DETAILS, read_zoo

POINTS, FRAMES, TASKS, MOST_NOTES = 200, 16, 60, 200
"""Points of a curve, grids of a tag, tasks on the map, and notes that are kept."""
TILES = 50
"""Images of a grid."""
QUALITY = 88
"""Of WebP, 0 .. 100."""
_STATUS = ("state", "step", "total", "device", "device_reason", "queued", "started", "updated", "seconds", "peak_bytes")
_MACHINE = ("run", "model", "folder")


def record_run(run: RunFolder, out: Path, *, overwrite: bool = False) -> RunFolder:
    """Write a thinned copy of a finished run as the folder ``out``; return it.

    The meta-model of ``assets/recorded/NAME`` is put into ``assets/models/NAME``, that of any other into the folder.

    With ``overwrite`` a run, and a model, that stand there are replaced; other files never are.

    Raises:
        BadInput: The run is not finished, works on a zoo that does not ship, or something stands in the way.
    """
    spec, state = run.spec, run.status().state
    if state != "finished":
        raise BadInput(f"run {run.name} is {state}: only a finished run can be recorded.")
    if out.absolute() == run.path:
        raise BadInput(f"{out} is the run itself: give another --out.")
    _claim(out, SPEC, "recorded run", overwrite=overwrite)
    model = out.parent.parent / "models" / out.name if out.parent.name == "recorded" else None
    if run.model and model:
        _claim(model, DETAILS, "recorded model", overwrite=overwrite)
    names = {name: Path(path).name for name in ("zoo", "data") if (path := getattr(spec, name)) and "/" in path}
    with filled_folder(out) as part:
        write_json(part / SPEC, spec.model_copy(update={**names, "label": ""}).model_dump(mode="json"))
        raw = read_raw(run.path) or {}
        write_json(part / STATUS, {name: raw[name] for name in _STATUS if raw.get(name) is not None})
        result = read_json(run.path / RESULT, "result")
        write_json(part / RESULT, {key: value for key, value in result.items() if key not in _MACHINE})
        lines = list(_thinned(run, part / IMAGES))
        text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        (part / METRICS).write_text(text, encoding="utf-8")
        for folder in sorted((run.path / RECOVERED).glob("*/report.json")):
            _copy_recovery(folder.parent, part / RECOVERED / folder.parent.name)
        if run.model and model is None:
            _copy_model(run.model, part / MODEL)
        if overwrite:
            shutil.rmtree(out, ignore_errors=True)
    if run.model and model:
        with filled_folder(model) as part:
            part.rmdir()
            _copy_model(run.model, part)
            shutil.rmtree(model, ignore_errors=True)
    return RunFolder(out)


def _claim(folder: Path, sign: str, kind: str, *, overwrite: bool) -> None:
    """See that a folder is new or empty or, where it may be replaced, that it holds the file that is its ``sign``."""
    there = (folder / sign).is_file()
    claim_folder(folder, own=lambda _: overwrite and there, kind=kind, overwrite=False if there else None)


def _thinned(run: RunFolder, images: Path) -> Iterator[dict[str, Any]]:
    """The lines of the metrics that are kept, in their order; their images are written into the folder."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    lines: list[dict[str, Any]] = []
    with (run.path / METRICS).open(encoding="utf-8") as file:
        for text in file:
            LINE.validate_json(text)  # a damaged run is not recorded
            line = json.loads(text)
            if line["type"] == "images" and (run.spec.data or not (run.path / IMAGES / line["file"]).is_file()):
                continue  # a run on a data set draws its photographs, which are not ours to ship
            groups[_kind(line)].append(len(lines))
            lines.append(line)
    side = min(row.input_size[-1] for row in read_zoo(run.spec.needed("zoo")).teachers)
    kept: set[int] = set()
    tasks: set[int] = set()
    for kind, places in groups.items():
        if kind == ("images", TASK):
            continue
        kept.update(evenly(places, {"scalars": POINTS, "images": FRAMES, "embedding": TASKS}.get(kind[0], MOST_NOTES)))
    tasks = {lines[place]["step"] for place in kept if lines[place]["type"] == "embedding"}
    kept.update(place for place in groups[("images", TASK)] if lines[place]["step"] in tasks)
    for place in sorted(kept):
        line = {key: value for key, value in lines[place].items() if key != "time"}
        if line["type"] == "images":
            line = _smaller(run.path / IMAGES / line["file"], line, images, side)
        elif line["type"] == "embedding":
            line["vectors"] = [[float(f"{value:.3g}") for value in vector] for vector in line["vectors"]]
        elif line["type"] == "scalars":
            line["values"] = {k: v if v is None else float(f"{v:.6g}") for k, v in line["values"].items()}
        yield line


def _kind(line: dict[str, Any]) -> tuple[str, ...]:
    """What is thinned together: numbers that always come together, images of one tag, and so on."""
    if line["type"] == "scalars":
        return ("scalars", line.get("tag", ""), *sorted(line["values"]))
    return (line["type"], line["tag"]) if line["type"] == "images" else (line["type"],)


def _smaller(file: Path, line: dict[str, Any], folder: Path, side: int) -> dict[str, Any]:
    """Write a grid with each image at its own size of ``side`` pixels, not a multiple of it; return its line."""
    from PIL import Image

    with Image.open(file) as opened:
        sheet = opened.convert("RGB")
    cells = cut_grid(sheet, min(line["count"], MAX_TILES))
    places = evenly(range(len(cells)), TILES)
    factor = max(1, cells[0].width // side)
    width, height = cells[0].width // factor, cells[0].height // factor
    columns = grid_columns(len(places))
    rows = -(-len(places) // columns)
    grid = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for position, place in enumerate(places):
        small = cells[place].resize((width, height), Image.Resampling.NEAREST)
        grid.paste(small, (position % columns * (width + GAP), position // columns * (height + GAP)))
    name = Path(line["file"]).with_suffix(".webp").name
    folder.mkdir(exist_ok=True)
    grid.save(folder / name, "WEBP", quality=QUALITY, method=6)
    each = {key: [line[key][place] for place in places] for key in ("labels", "names") if line.get(key)}
    return {**line, "file": name, "labels": [], **each, "count": len(places)}


def _copy_model(model: Path, target: Path) -> None:
    shutil.copytree(model, target)
    card = read_json(target / "dfml.json", "the model's card")
    write_json(target / "dfml.json", {key: value for key, value in card.items() if key != "run"})


def _copy_recovery(folder: Path, target: Path) -> None:
    """A recovery with its images in half precision, which eight bits do not tell from single."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    target.mkdir(parents=True)
    for name in ("report.json", "answers.json"):
        if (folder / name).is_file():  # older recoveries kept no answers
            write_json(target / name, read_json(folder / name, name))
    tensors = load_file(folder / "pictures.safetensors")
    save_file(
        {n: t.astype(np.float16) if t.dtype == np.float32 else t for n, t in tensors.items()},
        target / "pictures.safetensors",
    )
