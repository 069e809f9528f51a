"""Models by name: a folder on the Hugging Face Hub, or weights that torchvision offers."""

import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

from dfml.core.errors import BadInput, nearest
from dfml.core.model_config import CONFIG
from dfml.core.texts import printable
from dfml.zoo.importing.drafts import HUB, PICKLED_FOLDER, TORCHVISION, Draft, read_folder
from dfml.zoo.importing.stating import Stated
from dfml.zoo.listing import WEIGHTS

SECONDS = 10
"""How long the hub is waited for before its silence is named."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def fetch(source: str, work: Path, stated: Stated) -> Draft:
    """Download what a name stands for and read it; ``work`` is an empty folder for what has to be unpacked.

    ``BadInput``: no model has this name, or the network cannot be reached.
    """
    if source.startswith(HUB):
        draft = read_folder(_from_hub(source), work, stated.key)
        draft.id = source.removeprefix(HUB).partition("@")[0].rpartition("/")[2]
    else:
        draft = _from_torchvision(source, work)
    draft.source = source
    draft.details.setdefault("source", source)
    return draft


def _offline(source: str, error: Exception) -> BadInput:
    said = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)
    return BadInput(f"{source}: it cannot be downloaded ({said}); where there is no network, import its files instead")


def _from_hub(source: str) -> Path:
    """The folder of a model of the hub, downloaded unless it is in the hub's cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    name = source.removeprefix(HUB)
    if not _REPOSITORY.fullmatch(name):
        raise BadInput(f"{source}: expected {HUB}OWNER/NAME, perhaps with @REVISION")
    repository, _, revision = name.partition("@")

    def get(file: str) -> Path:
        return Path(hf_hub_download(repository, file, revision=revision or None, etag_timeout=SECONDS))

    try:
        config = get(CONFIG)
        try:
            get(WEIGHTS)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            get(PICKLED_FOLDER)
    except LocalEntryNotFoundError as error:
        raise _offline(source, error.__cause__ if isinstance(error.__cause__, Exception) else error) from None
    except EntryNotFoundError as error:
        raise BadInput(f"{source}: it is no model in timm's layout ({printable(str(error), 120)})") from None
    except RepositoryNotFoundError:
        raise BadInput(f"{source}: the hub has no such model, or shows it to its members alone") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise _offline(source, error) from None
    return config.parent


def _from_torchvision(source: str, work: Path) -> Draft:
    """Weights of torchvision as a draft: it says all of their input, and the names of their classes."""
    import torch
    from torchvision import models

    from dfml.zoo.importing.child import open_apart

    name, _, wanted = source.removeprefix(TORCHVISION).partition("/")
    known = models.list_models(module=models)
    if name not in known:
        raise BadInput(f"{source}: torchvision has no classifier {name!r}.{nearest(name, known)}")
    choices: Any = models.get_model_weights(name)
    names = [member.name for member in choices]
    if wanted not in (*names, "DEFAULT"):
        raise BadInput(f"{source}: give the weights too, as {TORCHVISION}{name}/NAME: {', '.join(names)}")
    weights = choices[wanted]
    url = weights.url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not file.is_file():
        digest = re.search(r"-([a-f0-9]{8,})\.", file.name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), digest and digest[1], progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise _offline(source, error) from None
    open_apart(file, work, "pickle", key=None)
    look = weights.transforms()
    crop, resized = look.crop_size[0], look.resize_size[0]
    cfg = {
        "input_size": [3, crop, crop], "mean": list(look.mean), "std": list(look.std),
        "crop_pct": crop / resized, "interpolation": look.interpolation.value,
    }  # fmt: skip
    details: dict[str, Any] = {"classes": list(weights.meta["categories"])}
    metrics = weights.meta.get("_metrics", {}).get("ImageNet-1K", {})
    if "acc@1" in metrics:
        details["accuracy"] = metrics["acc@1"] / 100
    args = {"aux_logits": True, "transform_input": True} if name in ("googlenet", "inception_v3") else {}
    identifier = f"{name}.{weights.name.lower()}"
    weights_file = work / "weights.safetensors"
    return Draft(identifier, source, weights_file, [f"torchvision_{name}"], args, cfg, details)
