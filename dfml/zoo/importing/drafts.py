"""A model before it is a teacher: what a folder or a checkpoint holds and says, brought into one form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput, shown
from dfml.core.model_config import CONFIG, LARGEST_CARD, split_flat
from dfml.core.paths import inside, read_json
from dfml.zoo.importing.child import open_apart
from dfml.zoo.listing import DETAILS, WEIGHTS, weights_digest

PICKLED_FOLDER = "pytorch_model.bin"
HUB, TORCHVISION = "hf-hub:", "torchvision:"


@dataclass
class Draft:
    """A model before it is a teacher.

    Attributes:
        id: What it will be called in the zoo.
        source: What the person gave, which begins every message.
        weights: A safetensors file, or an ONNX file where ``onnx``.
        onnx: What an ONNX file was found to take and to answer, see ``onnx_teacher``; None of other kinds.
        architectures: What the source calls its network; none where it is silent, several where it may be one of them.
        args: What the source says of the constructor's arguments.
        cfg: What it says of the input, by timm's names.
        details: What it says of the teacher, by the names of ``dfml.json``.
        kept: The config of a model folder, whose further values are kept.
    """

    id: str
    source: str
    weights: Path
    architectures: list[str] = field(default_factory=list)
    args: dict[str, Any] = field(default_factory=dict)
    cfg: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    onnx: dict[str, Any] | None = None


def read_folder(folder: Path, work: Path, key: str | None = None) -> Draft:
    """Read a model folder of timm's, in either layout, with ``model.safetensors`` or ``pytorch_model.bin``."""
    raw = read_json(folder / CONFIG, f"model {folder.name}", most=LARGEST_CARD)
    if not isinstance(raw, dict) or not isinstance(raw.get("architecture"), str):
        raise BadInput(f"{folder / CONFIG} names no architecture: it is not a model folder in timm's layout.")
    config = split_flat(raw)
    for name in ("model_args", "pretrained_cfg"):
        if not isinstance(config.setdefault(name, {}), dict):
            raise BadInput(f"{folder / CONFIG}: {name!r} is no table of values.")
    # A hub keeps the files of a model elsewhere, with links to them.
    base = folder.parents[1] if folder.parent.name == "snapshots" else folder
    weights = folder / WEIGHTS
    if not weights.exists() and (folder / PICKLED_FOLDER).exists():
        weights = folder / PICKLED_FOLDER
    inside(base, str(weights.relative_to(base)))
    if weights.name == PICKLED_FOLDER:
        open_apart(weights, work, "pickle", key=key)
        weights = work / "weights.safetensors"
    args: dict[str, Any] = dict(config["model_args"])
    cfg = {k: v for k, v in config["pretrained_cfg"].items() if v is not None}
    counts: list[Any] = [table["num_classes"] for table in (args, config, cfg) if table.get("num_classes") is not None]
    for value in counts:
        if type(value) is not int:
            raise BadInput(f"{folder / CONFIG}: 'num_classes' is {shown(value)}, expected a whole number.")
        if value != counts[0]:
            raise BadInput(f"{folder / CONFIG}: 'num_classes' is {counts[0]} in one place and {value} in another.")
        args["num_classes"] = value
    details = _details(folder)
    if weights == folder / WEIGHTS and weights.exists() and (digest := details.get("sha256")):
        if digest != weights_digest(folder):
            raise BadInput(f"{folder / WEIGHTS} is not the file that {DETAILS} describes (sha256 differs).")
    names = config.get("label_names") or cfg.get("label_names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        details.setdefault("classes", names)
    kept = {k: v for k, v in config.items() if k not in ("model_args", "pretrained_cfg", "label_names")}
    return Draft(folder.name, str(folder), weights, [config["architecture"]], args, cfg, details, kept)


def _details(folder: Path) -> dict[str, Any]:
    if not (folder / DETAILS).exists():
        return {}
    found = read_json(folder / DETAILS, "card", most=LARGEST_CARD)
    if not isinstance(found, dict):
        raise BadInput(f"{folder / DETAILS} is no card of a teacher.")
    return {key: value for key, value in found.items() if value is not None}


def draft_of_checkpoint(name: str, path: Path, work: Path, said: Mapping[str, Any]) -> Draft:
    """The draft of a checkpoint that ``unpack`` opened: what training scripts keep beside the weights is said."""
    draft = Draft(name, str(path), work / "weights.safetensors")
    if arch := said.get("arch"):
        draft.architectures = [arch]
    if isinstance(kwargs := said.get("model_kwargs"), dict):
        draft.args = dict(kwargs)
    cfg: dict[str, Any] = {key: value for key in ("mean", "std") if isinstance(value := said.get(key), list)}
    if type(crop := said.get("crop_pct")) in (int, float):
        cfg["crop_pct"] = crop
    size, side = said.get("input_size"), said.get("img_size")
    if isinstance(size, list) and len(size) == 3:
        cfg["input_size"] = size
    elif type(side) is int:
        cfg["input_size"] = [side, side]
    draft.cfg = cfg
    return draft
