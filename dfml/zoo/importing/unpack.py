"""A process of its own that turns one foreign file into plain weights and JSON, with little memory and time.

Called as ``python -m dfml.zoo.importing.unpack JOB`` with a JSON file of what to do. It writes ``weights.safetensors``
and ``said.json`` into the job's folder, or ``refused.json``. Pickles are read by ``torch.load(weights_only=True)``,
which makes tensors, plain values and the types of ``ALLOWED``, and calls nothing else.
"""

import argparse
import pathlib
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput, is_out_of_memory, nearest
from dfml.core.paths import read_json, write_json
from dfml.core.system import SYSTEM
from dfml.core.texts import printable
from dfml.zoo.importing.stating import Unsaid

MOST_NUMBERS, MOST_TENSORS = 500_000_000, 5_000
"""Of a file's weights together."""
MOST_SECONDS = 120
COMPRESSED = 2**24
"""Bytes that the compressed parts of an archive may have: the text of a TorchScript program."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What wrappers put before every name: data parallelism, compilation, a training framework's attribute."""
SAID = ("mean", "std", "img_size", "input_size", "crop_pct", "num_classes", "in_chans", "model_kwargs")
"""What training scripts keep among their arguments under these names."""
MODEL_PARTS = re.compile(r"(torch\.nn|timm|torchvision|transformers)\.|.*\._?models?\.")
SAFE = "run this only if you trust its author"


def main(job: Path) -> None:
    """Do what the JSON file ``job`` says: ``source``, ``out``, ``key``, ``kind`` (``pickle`` or ``script``)."""
    told = read_json(job, "job")
    source, out = Path(told["source"]), Path(told["out"])
    try:
        if told["kind"] == "onnx":
            from dfml.zoo.onnx_teacher import describe  # its own libraries, without torch

            SYSTEM.limit_itself(told["memory"], MOST_SECONDS, told["memory"])
            said = describe(source, told["shape"])
        else:
            said = _tensors(source, out, told)
        write_json(out / "said.json", said)
    except BadInput as error:
        asked = error.fields if isinstance(error, Unsaid) else {}
        write_json(out / "refused.json", {"reason": str(error), "asked": asked})
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        write_json(out / "refused.json", {"reason": "reading it takes more memory than a file of its size should"})


def _tensors(source: Path, out: Path, told: dict[str, Any]) -> dict[str, Any]:
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    SYSTEM.limit_itself(told["memory"], MOST_SECONDS, told["memory"])
    check_archive(source)
    if told["kind"] == "script":
        try:
            script = torch.jit.load(source, map_location="cpu")
        except Exception as error:  # noqa: BLE001 - a foreign file may break the reader in any way
            if is_out_of_memory(error):
                raise
            raise BadInput(
                f"it is a damaged TorchScript archive ({printable(str(error).splitlines()[0], 80)})"
            ) from None
        entry, weights, said = None, dict(script.state_dict()), {}
    else:
        whole = load_plain(source)
        entry, weights = find_weights(whole, told["key"])
        said = what_is_said(whole)
    weights = plain_tensors(weights)
    save_file(weights, out / "weights.safetensors")
    return {**said, "entry": entry}


def check_archive(source: Path) -> None:
    """Refuse a zip whose entries claim far more than the file holds: torch writes weights uncompressed."""
    size = source.stat().st_size
    if not zipfile.is_zipfile(source):
        return
    with zipfile.ZipFile(source) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > 2 * size + COMPRESSED:
        raise BadInput(f"it is a compressed archive that claims {claimed:,} bytes in {size:,}: no file of torch.save")


def load_plain(source: Path) -> Any:  # noqa: ANN401 - whatever was stored
    """Load a pickle of tensors and plain values; ``BadInput`` says what else it holds, or what is wrong with it."""
    import torch

    with torch.serialization.safe_globals(_allowed()):
        try:
            return torch.load(source, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - a foreign file may break the reader in any way
            if is_out_of_memory(error):
                raise
            text = str(error)
    if "TorchScript" in text:
        raise BadInput(
            "it is a TorchScript program, which runs code when it is opened: on the command line, --trust-code takes "
            "its weights"
        )
    found = re.findall(r"GLOBAL ([\w.]+)", text) or re.findall(r"Can only .*? but got <?(?:class )?'?([\w.]+)", text)
    if found:
        _refuse_types(source, sorted(_unsafe(source) | {found[0]}))
    raise BadInput(f"it is damaged, cut off or no file of torch.save ({printable(text.splitlines()[0], 80)})")


def _allowed() -> list[Any]:
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]
    paths = [f"{place}.{kind}Path" for place in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")]
    return [
        argparse.Namespace, np.dtype, *kinds,
        *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
        *((pathlib.PurePosixPath, name) for name in paths),
    ]  # fmt: skip


def _unsafe(source: Path) -> set[str]:
    import torch

    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(source))
    except Exception:  # noqa: BLE001 - the older layout, or a foreign file
        return set()


def _refuse_types(source: Path, types: list[str]) -> None:
    # The line is made to be copied into a shell, which may read more out of a name than Python does.
    stem, suffix = (source.stem, source.suffix) if re.fullmatch(r"[\w.+-]+", source.name) else ("FILE", ".pth")
    new, quoted = f"{stem}-weights.pth", repr(stem + suffix)
    if any(MODEL_PARTS.match(name) for name in types):
        load = f"import torch; torch.save(torch.load({quoted}, weights_only=False).state_dict(), {new!r})"
        raise BadInput(
            f"it is a whole pickled model ({printable(types[-1], 60)}), which runs code when it is opened; {SAFE}, "
            f'then import {new}: python -c "{load}"'
        )
    load = f"import torch; torch.save(torch.load({quoted}, weights_only=False)['state_dict'], {new!r})"
    raise BadInput(
        f"it stores objects of {printable(', '.join(types[:3]), 90)}, which are not read; {SAFE}, with the name of "
        f'the entry that holds the weights, then import {new}: python -c "{load}"'
    )


def find_weights(whole: Any, key: str | None) -> tuple[str | None, dict[str, Any]]:  # noqa: ANN401
    """Find the table of tensors in what a file holds, at most two levels down, and the name of its entry.

    ``BadInput``: there is none, or several and no ``key``.
    """
    found: dict[str, dict[str, Any]] = {}

    def look(value: Any, name: str, room: int) -> None:  # noqa: ANN401
        if not isinstance(value, Mapping) or len(found) > 20:
            return
        if _is_weights(value):
            found[name] = {k: v for k, v in value.items() if not k.endswith("_extra_state")}
        elif room:
            for inner, content in list(value.items())[:1000]:
                if isinstance(inner, str):
                    look(content, f"{name}.{inner}" if name else inner, room - 1)

    look(whole, "", 2)
    if key is not None:
        if key not in found:
            raise BadInput(
                f"--key {key!r}: it has no such table of weights.{nearest(key, found)} Known: {_names(found)}"
            )
        return key, found[key]
    if len(found) > 1:
        text = f"it holds several sets of weights ({_names(found)}): choose one with --key"
        raise Unsaid(text, {"key": dict.fromkeys(found, "")})
    if not found:
        held = _names(whole) if isinstance(whole, Mapping) else type(whole).__name__
        raise BadInput(f"it holds no table of named tensors, only {held}")
    return next(iter(found.items()))


def _names(table: Mapping[Any, Any]) -> str:
    return printable(", ".join(str(name)[:40] for name in list(table)[:8]) or "nothing", 150)


def _is_weights(value: Mapping[Any, Any]) -> bool:
    import torch

    kept = [(k, v) for k, v in value.items() if not (isinstance(k, str) and k.endswith("_extra_state"))]
    return len(kept) > 1 and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in kept)


def plain_tensors(weights: dict[str, Any]) -> dict[str, Any]:
    """Tensors that safetensors can write: dense, contiguous, of their own memory, without the prefixes of wrappers."""
    import torch

    if len(weights) > MOST_TENSORS or sum(w.numel() for w in weights.values()) > MOST_NUMBERS:
        raise BadInput(f"it claims more than {MOST_NUMBERS:,} numbers or {MOST_TENSORS:,} tensors")
    for name, tensor in weights.items():
        if tensor.is_quantized:
            raise BadInput(f"tensor {printable(name, 60)!r} is quantised to integers: export the model in float")
        if tensor.layout != torch.strided or tensor.is_meta:
            raise BadInput(f"tensor {printable(name, 60)!r} is no plain array of numbers")
    names = unwrapped(list(weights))
    return {
        names[name]: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }


def unwrapped(names: list[str]) -> dict[str, str]:
    """By each name the same without the prefixes that all of them share."""
    short = names
    while prefix := next((p for p in PREFIXES if short and all(n.startswith(p) and n != p for n in short)), None):
        short = [name.removeprefix(prefix) for name in short]
    return dict(zip(names, short, strict=True))


def what_is_said(whole: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a checkpoint says of its network beside the weights: plain values only, unchecked."""
    if not isinstance(whole, Mapping):
        return {}
    said = {"arch": whole["arch"]} if isinstance(whole.get("arch"), str) else {}
    for place in ("args", "hyper_parameters", "config"):
        table = whole.get(place)
        table = vars(table) if isinstance(table, argparse.Namespace) else table
        if isinstance(table, Mapping):
            said |= {key: table[key] for key in SAID if _plain(table.get(key)) and key not in said}
    return said


def _plain(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, list | tuple):
        return 0 < len(value) <= 3 and all(type(number) in (int, float) for number in value)
    if isinstance(value, Mapping):
        return len(value) < 50 and all(
            isinstance(k, str) and isinstance(v, bool | int | float | str) for k, v in value.items()
        )
    return type(value) in (int, float, str)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
