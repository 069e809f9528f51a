"""``adapt``: learn classes from a folder of support pictures and classify others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dfml.cli.output import answer, percent, say, table


def adapt(
    model: Annotated[Path, typer.Option(help="Folder of a meta-model.")],
    support: Annotated[Path, typer.Option(help="DIR/<class>/<picture>, one to five pictures a class.")],
    query: Annotated[Path | None, typer.Option(help="Pictures to classify; the support pictures, if left out.")] = None,
    bn: Annotated[Literal["inductive", "transductive"], typer.Option(help="Whose statistics normalise.")] = "inductive",
    how: Annotated[
        Literal["steps", "centroid"] | None, typer.Option("--adapt", help="The model's own way, if left out.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=200, help="Inner steps; the model's, if left out.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Adapt a meta-model to your own classes and classify pictures."""
    from dfml.data.uploads import read_query_folder, read_support_folder
    from dfml.meta.adaptation import adapt as learn
    from dfml.meta.model import MetaModel
    from dfml.nets.device import pick_device

    chosen, _ = pick_device(device)
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
    )  # fmt: skip
    for note in result.notes:
        say(note)
    predictions = []
    for name, row in zip(names, result.probabilities, strict=True):
        best = int(row.argmax())
        predictions.append({"file": name, "class": result.classes[best], "probability": round(float(row[best]), 4)})
    value = {
        "classes": result.classes,
        "predictions": predictions,
        "support_accuracy": result.support_accuracy,
        "bn": bn,
        "problems": problems,
        "notes": result.notes,
    }
    shown = [[p["file"], p["class"], percent(p["probability"])] for p in predictions]
    answer(value, json, table(shown, ["file", "class", "probability"]))
