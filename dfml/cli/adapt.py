"""``adapt``: learn classes from a folder of support pictures and classify others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dfml.cli.output import Bar, answer, percent, say, table
from dfml.core.errors import BadInput

if TYPE_CHECKING:
    from dfml.meta.calibration import Icfil


def adapt(
    model: Annotated[Path, typer.Option(help="Folder of a meta-model.")],
    support: Annotated[Path, typer.Option(help="DIR/<class>/<picture>, one to five pictures a class.")],
    query: Annotated[Path | None, typer.Option(help="Pictures to classify; the support pictures, if left out.")] = None,
    bn: Annotated[Literal["inductive", "transductive"], typer.Option(help="Whose statistics normalise.")] = "inductive",
    how: Annotated[
        Literal["steps", "centroid"] | None, typer.Option("--adapt", help="The model's own way, if left out.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=200, help="Inner steps; the model's, if left out.")] = None,
    calibrate: Annotated[
        str | None, typer.Option(help="icfil: calibrate the adapted model; with --help its options.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the calibration, key=value; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the calibration's first pictures.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Adapt a meta-model to your own classes and classify pictures."""
    from dfml.data.uploads import read_query_folder, read_support_folder
    from dfml.meta.adaptation import adapt as learn
    from dfml.meta.model import MetaModel
    from dfml.nets.device import pick_device

    chosen, _ = pick_device(device)
    calibrator = chosen_calibrator(calibrate, set_)
    loaded = MetaModel.load(model)
    channels, size, _ = loaded.input_size
    known = read_support_folder(support, size=size, channels=channels)
    problems = list(known.problems)
    if query is None:
        pictures, names = known.pictures, known.names
    else:
        pictures, names, bad = read_query_folder(query, size=size, channels=channels)
        problems += bad
    for problem in problems:
        say(f"left out: {problem}")
    result = learn(
        loaded, known.pictures, known.labels, pictures,
        class_names=known.class_names, bn=bn, how=how, steps=steps, device=chosen,
        calibrate=calibrator, seed=seed, progress=Bar("calibration"),
    )  # fmt: skip
    for note in result.notes:
        say(note)
    predictions = _named(result.probabilities, names, result.classes)
    value = {
        "classes": result.classes,
        "predictions": predictions,
        "support_accuracy": result.support_accuracy,
        "bn": bn,
        "calibrate": calibrate,
        "problems": problems,
        "notes": result.notes,
    }
    if result.calibration is not None:
        value["uncalibrated_predictions"] = before = _named(result.uncalibrated, names, result.classes)
        changed = sum(a["class"] != b["class"] for a, b in zip(before, predictions, strict=True))
        contrast = result.calibration.contrast
        value["calibration"] = {
            "config": calibrator.config.model_dump(),
            "contrast": contrast,
            "recovered_accuracy": result.calibration.recovered_accuracy,
            "support_accuracy": result.calibrated_accuracy[0],
            "changed": changed,
        }
        say(f"calibrated: contrastive loss {contrast[0]:.2f} to {contrast[-1]:.2f}, {changed} answers changed.")
    shown = [[p["file"], p["class"], percent(p["probability"])] for p in predictions]
    answer(value, json, table(shown, ["file", "class", "probability"]))


def _named(probabilities: Any, names: list[str], classes: list[str]) -> list[dict[str, Any]]:  # noqa: ANN401 - a tensor
    """The likeliest class of each picture, and its probability."""
    rows = []
    for name, row in zip(names, probabilities, strict=True):
        best = int(row.argmax())
        rows.append({"file": name, "class": classes[best], "probability": round(float(row[best]), 4)})
    return rows


def chosen_calibrator(name: str | None, changes: list[str] | None) -> Icfil | None:
    """The calibrator of that name with its options changed; None where none is wanted.

    Raises:
        BadInput: Unknown name or option, or options without a calibrator.
    """
    from dfml.meta.calibration import CALIBRATORS

    if name is None:
        if changes:
            raise BadInput("--set changes options of the calibration: give --calibrate icfil with it.")
        return None
    calibrator = CALIBRATORS.get(name)
    return calibrator(calibrator.preset("demo").override(changes or []))
