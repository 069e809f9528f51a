"""``data arrange``: images of people's own as a data set with splits."""

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
