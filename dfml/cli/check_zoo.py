"""``zoo check``: what may go wrong with a zoo's teachers, as a table, as JSON, and as an exit code."""

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli import completing
from dfml.cli.output import answer, fine_percent, say, table
from dfml.cli.parameters import Json
from dfml.data.splits import check_source
from dfml.zoo import open_zoo
from dfml.zoo.kept_checks import CheckedTeacher

HEADER = ["id", "architecture", "input", "classes", "claimed", "measured", "sure of noise", "remarks"]


def check(
    zoo: Annotated[
        str, typer.Argument(help="An embedded name, a folder or a server's address.", autocompletion=completing.zoos)
    ],
    data: Annotated[
        Path | None, typer.Option(help="The class folders that they learnt from: accuracy is measured.")
    ] = None,
    json: Json = False,
) -> None:
    """Load and question every teacher (on a server, ask for one image), and name what is wrong; exit 1 if anything is.

    What is wrong: a teacher that cannot be used, answers all images alike or not with logits, is another one's double,
    or, with --data, claims more than it can. Of each class's images those count that zoo pretrain held out, else the
    last fifth.
    """
    opened = open_zoo(zoo)
    if data is not None:
        check_source(data, "train")
    value = {"name": opened.name, "usable": len(opened), "teachers": opened.listed, "problems": opened.problems}
    value |= {"wrong": {}, "rows": []}
    if opened.address:
        opened.check()
        value["usable"] = len(opened)
    else:
        from dfml.zoo.checking import check_zoo

        def told(_done: int, _total: int, one: CheckedTeacher) -> None:
            for problem in one.problems:
                say(f"{one.id} {problem}")

        value = check_zoo(opened, data, told)
    rows = [
        [
            one["id"], one["architecture"], one["input"], str(one["way"]), fine_percent(one["claimed"]),
            fine_percent(one["measured"]), fine_percent(one["confidence"]),
            "; ".join([*one["problems"], *one["remarks"]]),
        ]
        for one in value["rows"]
    ]  # fmt: skip
    wrong = value["wrong"]
    lines = [table(rows, HEADER)] if rows else []
    lines += [f"{value['usable']} of {opened.listed} teachers are usable; something is wrong with {len(wrong)} of them"]
    lines += [f"unusable: {model}: {reason}" for model, reason in opened.problems.items()]
    answer(value, json, "\n".join(lines))
    if opened.problems or wrong:
        raise typer.Exit(1)
