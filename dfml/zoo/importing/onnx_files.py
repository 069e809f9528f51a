"""ONNX files as drafts: what they take and answer is found out by asking them."""

from pathlib import Path

from dfml.core.errors import BadInput
from dfml.zoo.importing.child import open_apart
from dfml.zoo.importing.drafts import Draft
from dfml.zoo.importing.stating import Stated
from dfml.zoo.listing import ONNX


def read_onnx(path: Path, work: Path, stated: Stated) -> Draft:
    """Read an ONNX file; ``BadInput``: it is none, or its input's size is neither in it nor stated."""
    said = open_apart(path, work, "onnx", shape=stated.input_size)
    draft = Draft(path.stem, str(path), path, [ONNX], onnx=said)
    if None not in said["shape"]:
        draft.cfg["input_size"] = said["shape"]
    way = said.get("way")
    if way is not None:
        draft.args["num_classes"] = way
        if stated.num_classes not in (None, way):
            raise BadInput(
                f"{path}: it answers {way} numbers about an image, not the {stated.num_classes} of --num-classes."
            )
    return draft
