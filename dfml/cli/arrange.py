"""``data arrange``: images of people's own as a data set with splits; ``data textures``: generated ones."""

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli.output import answer, say, table
from dfml.cli.parameters import Json, option
from dfml.core.errors import BadInput
from dfml.runs.spec import RunSpec


def arrange(
    source: Annotated[Path, typer.Argument(help="DIR/<class>/<image>, or a CSV with columns file and label.")],
    out: Annotated[Path, typer.Option(help="Folder to write DIR/{train,val,test}/<class>/* to.")],
    shares: Annotated[str, typer.Option(help="Per cent of the classes in train, val and test.")] = "60,20,20",
    seed: Annotated[int, option(RunSpec, "seed", help="Draws which classes go where.")] = 0,
    json: Json = False,
) -> None:
    """Bring your own images into class folders with splits; whole classes go into one split."""
    from dfml.data import arranging

    numbers = [word.strip() for word in shares.split(",")]
    if len(numbers) != 3 or not all(number.isdecimal() and len(number) <= 3 for number in numbers):
        raise BadInput(f"--shares takes three whole numbers such as 60,20,20; received {shares!r}.")
    train, val, test = map(int, numbers)
    value = arranging.arrange(source, out, shares=(train, val, test), seed=seed)
    for line in value["left_out"]:
        say(f"left out: {line}")
    rows = [[split, str(of["classes"]), str(of["images"])] for split, of in value["splits"].items()]
    answer(value, json, f"{table(rows, ['split', 'classes', 'images'])}\nwritten to {out}")


def textures(
    out: Annotated[Path, typer.Argument(help="Folder to write DIR/train/<class>/*.png to.")],
    classes: Annotated[int, typer.Option(min=1, max=10_000, help="Classes.")] = 64,
    per_class: Annotated[int, typer.Option(min=1, max=10_000, help="Images per class.")] = 200,
    size: Annotated[int, typer.Option(min=8, max=256, help="Height and width in pixels.")] = 32,
    seed: Annotated[int, option(RunSpec, "seed", help="Draws what the classes are.")] = 0,
    json: Json = False,
) -> None:
    """Write generated images, waves and shapes of classes that no real image belongs to."""
    from dfml.data.textures import write_textures

    write_textures(out, classes=classes, per_class=per_class, size=size, seed=seed)
    value = {"classes": classes, "images": classes * per_class, "size": size}
    answer(value, json, f"{classes * per_class} images of {classes} classes written to {out}")
