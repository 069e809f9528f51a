"""Making a teacher's folder from a draft and what is stated of it; what nobody says is asked for, not assumed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput, shown
from dfml.core.model_config import CONFIG, FLAGS, add_stated, tensor_shapes
from dfml.core.paths import write_json
from dfml.zoo.importing.drafts import Draft
from dfml.zoo.importing.identify import identify, settle
from dfml.zoo.importing.stating import Stated, ask_for
from dfml.zoo.importing.unpack import unwrapped
from dfml.zoo.listing import DETAILS, ONNX, ONNX_FILE, WEIGHTS, read_card, weights_digest

if TYPE_CHECKING:
    import torch

    from dfml.zoo.importing.fitting import Fit

COUNTER = "num_batches_tracked"


def complete(draft: Draft, stated: Stated, folder: Path) -> list[str]:
    """Fill ``folder`` with a teacher that loads; lines that a person should read.

    ``BadInput``: something is neither said nor stated, contradicts itself, or is wrong; in one line.
    """
    folder.mkdir()
    cfg, missing = input_of(draft, stated)
    notes: list[str] = []
    if draft.onnx is not None:
        ask_for(missing)
        if "num_classes" not in draft.args or "answers" not in draft.onnx:
            raise BadInput("it does not say how many numbers it answers: give --num-classes and --size")
        shutil.copyfile(draft.weights, folder / ONNX_FILE)
        config = {"architecture": ONNX, "num_classes": draft.args["num_classes"], "answers": draft.onnx["answers"]}
        config |= {"model_args": {}, "pretrained_cfg": cfg}
    else:
        config, notes = _network(draft, stated, cfg, missing, folder)
    write_json(folder / CONFIG, config)
    details = _details(draft, stated)
    write_json(folder / DETAILS, {**details, "sha256": weights_digest(folder)})
    read_card(folder)
    if draft.onnx is None:
        from dfml.zoo.teacher import load_teacher

        load_teacher(folder)
    return [*notes, *_other_preparation(config["pretrained_cfg"])]


def input_of(draft: Draft, stated: Stated) -> tuple[dict[str, Any], list[str]]:
    """What is said of a draft's input, by timm's names, and which names nobody says.

    ``BadInput``: the source and the person contradict each other, or its size is none.
    """
    cfg = {key: value for key, value in draft.cfg.items() if key != "num_classes"}
    add_stated("it", draft.args, cfg, stated.input, channels=None)
    size = cfg.get("input_size", [1, 1])
    if not isinstance(size, list) or len(size) not in (2, 3) or not all(type(side) is int for side in size):
        raise BadInput(f"its 'input_size' is {shown(size)}, expected channels, height and width")
    crop = cfg.get("crop_pct")
    if crop is not None and (type(crop) not in (int, float) or not 0 < crop <= 1):
        raise BadInput(f"its 'crop_pct' is {shown(crop)}, expected the share of an image's side, above 0 and at most 1")
    known = {**cfg, **({"input_size": draft.args["img_size"]} if draft.args.get("img_size") else {})}
    return cfg, [key for key in FLAGS if known.get(key) in (None, [])]


def tensors_of(draft: Draft) -> tuple[dict[str, str], dict[str, list[int]]]:
    """By each tensor's name in a draft's file the one without wrappers' prefixes, and by that one its shape.

    ``BadInput``: the file is damaged, or holds none.
    """
    names = unwrapped(list(found := tensor_shapes(draft.weights, draft.source)))
    if not names:
        raise BadInput("it holds no tensors")
    return names, {names[name]: shape for name, shape in found.items()}


def _network(
    draft: Draft, stated: Stated, cfg: dict[str, Any], missing: list[str], folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """Identify the network, write its weights, and return its config."""
    names, shapes = tensors_of(draft)
    # Only a table of positions can say the size; it takes a moment to compare one.
    if not any(name.endswith(("pos_embed", "pos_embedding")) for name in shapes):
        ask_for(missing)
    ask_for([key for key in missing if key != "input_size"])
    size = cfg.get("input_size") or None
    exact, found_by = identify(draft, stated, shapes, size)
    if "input_size" in missing:
        if not all(fit.size_known for fit in exact):
            ask_for(["input_size"])
        size = exact[0].args.get("img_size") or list(exact[0].cfg["input_size"])[1:]
        size = size if isinstance(size, list) else [size, size]
    weights = read_weights(draft.weights, names, exact[0])
    channels = int(exact[0].args.get("in_chans", 3))
    if size is not None:
        size = size if len(size) == 3 else [channels, *size]
        fit = settle(exact, weights, (size[0], size[1], size[2]))
        cfg["input_size"] = size
    else:
        fit = exact[0]  # a folder whose constructor's arguments say the size
    complete_weights(draft, weights, fit, names, folder)
    config = {**draft.kept, "architecture": fit.architecture, "num_classes": fit.args["num_classes"]}
    defaults = {key: fit.cfg[key] for key in ("first_conv", "classifier", "fixed_input_size") if fit.cfg.get(key)}
    config["model_args"] = fit.args if not draft.kept else draft.args
    config["pretrained_cfg"] = {**defaults, **cfg, "num_classes": fit.args["num_classes"]}
    return config, [found_by] if found_by else []


def read_weights(path: Path, names: Mapping[str, str], fit: Fit) -> dict[str, torch.Tensor]:
    """Read a file's tensors under the network's names; ``BadInput``: whole numbers where it has others."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"it is damaged ({error})") from None
    for name, tensor in weights.items():
        wanted = fit.kinds.get(names[name])
        if wanted is not None and wanted.is_floating_point and not tensor.is_floating_point():
            raise BadInput(
                f"tensor {name!r} holds {str(tensor.dtype)[6:]}, as quantised models do whole numbers, which give no "
                "gradients: import the model from before that"
            )
    return {names[name]: tensor for name, tensor in weights.items()}


def complete_weights(
    draft: Draft, weights: dict[str, torch.Tensor], fit: Fit, names: Mapping[str, str], folder: Path
) -> None:
    """Write the weights as the network wants them; a file that is so already is copied as it is."""
    import torch
    from safetensors.torch import save_file

    counters = [name for name in fit.kinds if name.endswith(COUNTER) and name not in weights]
    other = [name for name, tensor in weights.items() if tensor.is_floating_point() and tensor.dtype != torch.float32]
    renamed = any(name != short for name, short in names.items())
    if not counters and not other and not renamed:
        shutil.copyfile(draft.weights, folder / WEIGHTS)
        return
    for name in counters:
        weights[name] = torch.zeros((), dtype=torch.long)
    for name in other:
        weights[name] = weights[name].float()
    save_file(weights, folder / WEIGHTS)


def _details(draft: Draft, stated: Stated) -> dict[str, Any]:
    """What ``dfml.json`` says, but for the digest; ``BadInput``: the person and the source contradict each other."""
    details = dict(draft.details)
    given = {key: getattr(stated, key) for key in ("classes", "accuracy", "domain", "licence")}
    for key, value in given.items():
        if value is None:
            continue
        if details.get(key) not in (None, "", value):
            raise BadInput(f"it states its {key} otherwise than --{key} does: leave one out")
        details[key] = value
    details.setdefault("source", Path(draft.source).name if ":" not in draft.source[2:] else draft.source)
    return details


def _other_preparation(cfg: Mapping[str, Any]) -> list[str]:
    """One line where a model wants another way of bringing images to its size than ours."""
    ours = {"interpolation": "bilinear", "crop_pct": 1.0}
    differs = [f"{key} {shown(cfg[key])}" for key, value in ours.items() if cfg.get(key) not in (None, value)]
    ways = "here images are resized bilinearly, without a crop, so its accuracy may differ a little"
    return [f"it wants {' and '.join(differs)}; {ways}"] if differs else []
