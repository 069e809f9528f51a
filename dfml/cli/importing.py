"""``zoo import``: models that somebody trained elsewhere become teachers."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from dfml.cli.output import Bar, answer, say
from dfml.cli.parameters import Json, option
from dfml.core.errors import BadInput
from dfml.zoo.importing.stating import Stated, read_manifest


def import_models(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Model folders in timm's layout, files (.safetensors, .pth, .pt, .bin, .ckpt, .onnx), "
            "hf-hub:OWNER/NAME or torchvision:NAME/WEIGHTS."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="The zoo's folder; it may exist.")],
    manifest: Annotated[Path | None, typer.Option(help="A YAML list of sources and what is stated of each.")] = None,
    arch: Annotated[str | None, option(Stated, "arch")] = None,
    num_classes: Annotated[int | None, option(Stated, "num_classes")] = None,
    size: Annotated[
        str | None, typer.Option(help="Input size where it is not stated: 32 or, with channels, 1,28,28.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Channel means where they are not stated: 0.5 or 0.4,0.5,0.4.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Channel standard deviations, where they are not stated.")] = None,
    crop: Annotated[
        float | None,
        typer.Option(help="Share of an image's side that it was evaluated on, where it is not stated; 1: all."),
    ] = None,
    key: Annotated[str | None, option(Stated, "key")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="A file of class names in the outputs' order, one a line, or a JSON list.")
    ] = None,
    accuracy: Annotated[float | None, option(Stated, "accuracy")] = None,
    domain: Annotated[str | None, option(Stated, "domain")] = None,
    licence: Annotated[str | None, option(Stated, "licence")] = None,
    shared_class_names: Annotated[
        bool, typer.Option("--shared-class-names", help="Their class names identify classes in their domain.")
    ] = False,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Open TorchScript files, which run their authors' code.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring trained classifiers into a zoo; what neither file nor option says is asked for."""
    typed: dict[str, Any] = {
        "arch": arch, "num_classes": num_classes, "size": size, "mean": mean, "std": std, "crop": crop, "key": key,
        "classes": classes, "accuracy": accuracy, "domain": domain, "licence": licence,
        "shared_class_names": shared_class_names or None,
    }  # fmt: skip
    stated = Stated.read(typed)
    pairs = [(source, Stated()) for source in sources or ()]
    pairs += read_manifest(manifest) if manifest else []
    if not pairs:
        raise BadInput("nothing to import: give folders, files or names, or --manifest FILE.")

    from dfml.zoo.importing.drafts import Draft
    from dfml.zoo.importing.importer import import_models as bring_in

    bar = Bar("models")
    with tempfile.TemporaryDirectory() as work:
        given: list[tuple[str | Path | Draft, Stated]] = list(pairs)
        problems: list[str] = []
        if trust_code:
            given, problems = _trusted(pairs, Path(work))
        found = bring_in(given, out, stated, report=lambda done, total, name: bar(done, total, name))
    problems += found.problems
    for note in found.notes:
        say(note)
    for problem in problems:
        say(f"left out: {problem}")
    value = {"zoo": str(out), "added": found.added, "notes": found.notes, "problems": problems}
    answer(value, json, f"{len(found.added)} teachers added to {out}")
    if problems and not found.added:
        raise typer.Exit(1)


def _trusted(pairs: list[tuple[str, Stated]], work: Path) -> tuple[list[tuple[Any, Stated]], list[str]]:
    """The sources, those in TorchScript opened; and one line for each that cannot be."""
    from dfml.zoo.importing.script import is_script, read_script

    given, problems = [], []
    for number, (source, stated) in enumerate(pairs):
        if is_script(Path(source)):
            place = work / str(number)
            place.mkdir()
            try:
                given.append((read_script(Path(source), place), stated))
            except BadInput as error:
                problems.append(str(error))
        else:
            given.append((source, stated))
    return given, problems
