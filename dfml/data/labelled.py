"""How many of a user's query images are named right, where their folders are called as classes."""

from typing import Any

from dfml.core.names import find_name


def named_right(names: list[str], predictions: list[dict[str, Any]], classes: list[str]) -> dict[str, int] | None:
    """Count the images whose folder is called as a class, and those of them that are named so; None without one.

    ``names`` are paths such as ``folder/image``, ``predictions`` have a ``class`` each, in the same order.
    """
    told = [
        (said["class"], classes[place])
        for name, said in zip(names, predictions, strict=True)
        if "/" in name and (place := find_name(name.split("/")[0], classes)) is not None
    ]
    right = sum(said == wanted for said, wanted in told)
    return {"right": right, "labelled": len(told)} if told else None
