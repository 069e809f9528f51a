"""What a model's folder says of itself, read without torch: ``config.json`` in timm's layouts, shapes of its weights.

The library and the app's listing both read it here, so that they come to the same verdict. What decides an answer (the
number of classes, the input's size, its normalisation) must be stated: nothing is guessed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from dfml.core.errors import BadInput, shown
from dfml.core.paths import open_file, read_json

CONFIG = "config.json"
LARGEST_INPUT = 1024
"""Pixels; a larger input size in a card is taken for an error."""
FLAGS = {"mean": "--mean", "std": "--std", "input_size": "--size", "crop_pct": "--crop"}
"""With which options of ``zoo import`` a value is stated that a config leaves out."""
LARGEST_CARD = LARGEST_HEADER = 8 * 2**20
"""Bytes of a JSON file of a model, and of a weight file's header: 10,000 tensors take about one million."""


def split_flat(config: dict[str, Any]) -> dict[str, Any]:
    """Bring timm's older layout, one flat table, into the newer one, as timm does; the newer one stays as it is.

    timm knows no ``model_args`` in the flat layout; they are kept where somebody wrote some.
    """
    if "pretrained_cfg" in config:
        return config
    flat = dict(config)
    split = {key: flat.pop(key) for key in ("architecture", "num_features", "model_args") if key in flat}
    if "labels" in flat:
        flat["label_names"] = flat.pop("labels")
    return {**split, "pretrained_cfg": flat}


def read_config(folder: Path, stated: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read ``config.json`` in either layout.

    Args:
        folder: The model's folder.
        stated: ``mean``, ``std``, ``input_size`` (with or without channels), ``crop_pct``, where it leaves them out.

    Returns:
        The newer layout: architecture, num_classes, model_args, pretrained_cfg.

    Raises:
        BadInput: Missing, damaged, without an architecture or a number of classes, or it contradicts ``stated``.
    """
    path = folder / CONFIG
    config = read_json(path, f"model {folder.name}", most=LARGEST_CARD)
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise BadInput(f"{path} names no architecture: it is not a model folder in timm's layout.")
    config = split_flat(config)
    for key in ("model_args", "pretrained_cfg"):
        if not isinstance(config.setdefault(key, {}), dict):
            raise BadInput(f"{path}: {key!r} is no table of values.")
    args, cfg = config["model_args"], config["pretrained_cfg"]
    places = [args.get("num_classes"), config.get("num_classes"), cfg.get("num_classes")]
    classes = next((value for value in places if value is not None), None)
    if classes is None:
        raise BadInput(f"{path} states no 'num_classes', and none is assumed: write it there.")
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise BadInput(f"{path}: 'num_classes' is {shown(classes)}, expected a whole number.")
    if config.setdefault("num_classes", classes) != classes:
        raise BadInput(f"{path}: {shown(config['num_classes'])} classes, but {classes} in 'model_args'.")
    add_stated(str(path), args, cfg, stated or {})
    return config


def add_stated(
    path: str, args: Mapping[str, Any], cfg: dict[str, Any], stated: Mapping[str, Any], channels: int | None = 3
) -> None:
    """Add to what a config says of its input what a person states, by timm's names.

    A stated size without channels gets those of the constructor's arguments, else ``channels``; None adds none.
    ``BadInput``: the config says otherwise; ``path`` begins the message.
    """
    channels = args.get("in_chans", channels)
    for key, value in stated.items():
        found = cfg.get(key)
        if key == "input_size" and found in (None, []) and args.get("img_size") is not None:
            found = [args.get("in_chans", 3), *_sides(args["img_size"])]
        if found in (None, []):
            alone = key == "input_size" and len(value) == 2 and channels is not None
            cfg[key] = [channels, *value] if alone else value
        elif not _agree(key, found, value):
            raise BadInput(f"{path} states {key!r} {shown(found)}, not the {value} of {FLAGS[key]}: leave one out.")


def picture_input(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return a teacher's input, from what ``read_config`` returned.

    ``input_size``: channels (1 or 3), height and width in pixels; ``mean`` and ``std``: what is subtracted from pixels
    in [0, 1], and what they are then divided by (above 0), one number or one per channel.
    ``BadInput``: one of them is not stated or out of range, or the constructor's arguments do not agree with it.
    """
    path, cfg, args = folder / CONFIG, config["pretrained_cfg"], config["model_args"]
    if args.get("bn") == "batch":
        # Without running statistics its answer about an image would depend on the others of the batch.
        raise BadInput(f"model {folder.name!r} is a meta-model (normalised by batch statistics), no teacher.")
    size, side = cfg.get("input_size"), args.get("img_size")
    sides = _sides(side)
    if side is not None and (size in (None, []) or _has_fixed_size(config) and isinstance(size, list)):
        # A network of a fixed size takes the size that it is built for, as timm reads it too.
        size = [size[0] if size else args.get("in_chans", 3), *sides]
    found = {"mean": cfg.get("mean"), "std": cfg.get("std"), "input_size": size}
    if missing := [key for key, value in found.items() if value in (None, [])]:
        flags = " ".join(FLAGS[key] for key in missing)
        raise BadInput(
            f"{path} states no {' and no '.join(map(repr, missing))}, and nothing is assumed: write it there, or give "
            f"it to `zoo import` with {flags}."
        )
    whole = isinstance(size, list) and len(size) == 3 and all(type(value) is int for value in size)
    if not whole or size[0] not in (1, 3) or not all(1 <= value <= LARGEST_INPUT for value in size[1:]):
        raise BadInput(
            f"{path}: 'input_size' is {shown(size)}, expected 1 or 3 channels, height and width of at most "
            f"{LARGEST_INPUT} pixels."
        )
    mean, std = (_statistics(path, key, found[key], size[0]) for key in ("mean", "std"))
    if min(std) <= 0:
        raise BadInput(f"{path}: std {std}, expected positive numbers.")
    if (given := args.get("in_chans", size[0])) != size[0]:
        raise BadInput(f"{path}: input {size}, but in_chans is {shown(given)}.")
    fixed = "conv4" in config["architecture"] and not args.get("global_pool")
    if fixed and side is not None and sides != size[1:]:
        raise BadInput(f"{path}: input {size}, but img_size is {shown(side)}.")
    return {"input_size": tuple(size), "mean": mean, "std": std}


def network_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a network's constructor is told: ``model_args`` and, where they are silent, what its input says.

    So does timm, which builds a network of a fixed size for its input's. The few-shot networks are all told theirs.
    """
    told, size = {"num_classes": config["num_classes"]}, config["pretrained_cfg"].get("input_size")
    if isinstance(size, list) and len(size) == 3:
        told["in_chans"] = size[0]
        if _has_fixed_size(config) or config["architecture"].startswith("fewshot_"):
            told["img_size"] = size[1] if size[1] == size[2] else size[1:]
    return {**told, **config["model_args"]}


def tensor_shapes(path: Path, label: str) -> dict[str, list[int]]:
    """Return the shapes by name of the tensors in a weight file, read without its numbers.

    ``BadInput``: missing, damaged, cut off, or with a header of more than ``LARGEST_HEADER`` bytes; ``label`` begins
    the message.
    """
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"its header claims {length:,} bytes")
        # It checks that the header and the length of the file agree.
        with safe_open(path, framework="np") as tensors:
            return {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise BadInput(f"{label}: {path.name} is missing in {path.parent}.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{label}: {path.name} is damaged or cut off ({error}).") from None


def _has_fixed_size(config: dict[str, Any]) -> bool:
    """Whether the network takes images of the size it is built for only; some arguments say otherwise, as in timm."""
    args = config["model_args"]
    free = args.get("dynamic_img_size") or args.get("strict_img_size") is False or args.get("use_naflex")
    return config["pretrained_cfg"].get("fixed_input_size") is True and not free


def _sides(side: Any) -> list[Any]:  # noqa: ANN401 - foreign JSON
    return side if isinstance(side, list) else [side, side]


def _agree(key: str, found: Any, value: Any) -> bool:  # noqa: ANN401 - foreign JSON
    """Whether a config states what a person does; one number of a statistic stands for all channels."""
    if not isinstance(found, list):
        return key == "crop_pct" and found == value
    if key == "input_size":
        return found[-len(value) :] == value
    return found == value or (1 in (len(found), len(value)) and all(number == value[0] for number in found + value))


def _statistics(path: Path, key: str, values: Any, channels: int) -> list[float]:  # noqa: ANN401 - foreign JSON
    if not isinstance(values, list) or not all(type(v) in (int, float) and abs(v) <= 1e6 for v in values):
        raise BadInput(f"{path}: {key!r} is {shown(values)}, expected {channels} numbers.")
    if len(values) not in (1, channels):
        raise BadInput(f"{path}: {len(values)} values of {key!r} for {channels} channels.")
    return [float(value) for value in values]
