"""Finding out what a source is: a folder, a file, or a name on a hub or among torchvision's weights."""

import re
from pathlib import Path

from dfml.core.errors import BadInput
from dfml.core.model_config import tensor_shapes
from dfml.core.paths import given_path
from dfml.zoo.importing import hubs
from dfml.zoo.importing.child import checked_size, open_apart
from dfml.zoo.importing.drafts import HUB, TORCHVISION, Draft, draft_of_checkpoint, read_folder
from dfml.zoo.importing.onnx_files import read_onnx
from dfml.zoo.importing.stating import Stated

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl")


def read_source(source: str | Path, stated: Stated, work: Path) -> Draft:
    """Read one source; ``work`` is an empty folder for what has to be unpacked.

    ``BadInput``: there is nothing, or nothing that can be read; one line that begins with the source.
    """
    text = str(source)
    if text.startswith((HUB, TORCHVISION)):
        return hubs.fetch(text, work, stated)
    path = given_path(text).resolve()  # "." has a name too
    if path.is_dir():
        return read_folder(path, work, stated.key)
    if not path.exists():
        raise BadInput(
            f"{text}: there is no such file or folder. Names of models begin with {HUB} or {TORCHVISION}, as in "
            f"{HUB}timm/resnet18.a1_in1k or {TORCHVISION}resnet18/IMAGENET1K_V1."
        )
    return read_file(path, work, stated)


def read_file(path: Path, work: Path, stated: Stated) -> Draft:
    """Read a single file: safetensors, ONNX, or a pickle of tensors."""
    name = re.sub(r"\.pth$", "", path.stem)
    if not checked_size(path):
        raise BadInput(f"{path}: the file is empty.")
    if path.suffix == ".safetensors":
        tensor_shapes(path, str(path))
        return Draft(name, str(path), path)
    if path.suffix == ".onnx":
        return read_onnx(path, work, stated)
    if path.suffix not in PICKLES:
        raise BadInput(
            f"{path}: expected a model folder, or a file {', '.join(('.safetensors', '.onnx', *PICKLES))}; rename it "
            "if it is one of these."
        )
    said = open_apart(path, work, "pickle", key=stated.key)
    return draft_of_checkpoint(name, path, work, said)
