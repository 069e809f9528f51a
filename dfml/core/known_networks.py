"""The names of networks, known without importing timm, whose import takes seconds."""

import difflib
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dfml.core.errors import BadInput

_OWN = Path(__file__).parent.parent / "nets" / "backbones.py"
_REGISTERED = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)", re.MULTILINE)
_FORMER = re.compile(r"^register_model_deprecations\(__name__, \{(.*?)^\}\)", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"""["'](\w+)["'] *:""")


@cache
def own_networks() -> tuple[str, ...]:
    """The few-shot networks of this package, from the text of the file that registers them."""
    return tuple(_REGISTERED.findall(_OWN.read_text(encoding="utf-8")))


@cache
def timm_networks() -> tuple[str, ...]:
    """The networks that timm registers, former names included, from the text of its files; empty if none is found."""
    found: list[str] = []
    timm = find_spec("timm")
    for folder in (timm and timm.submodule_search_locations) or ():
        for path in sorted(Path(folder, "models").glob("*.py")):
            text = path.read_text(encoding="utf-8")
            found += _REGISTERED.findall(text)
            found += [name for block in _FORMER.findall(text) for name in _KEY.findall(block)]
    return tuple(found)


@cache
def torchvision_networks() -> tuple[str, ...]:
    """Torchvision's classifiers as they are called here, ``torchvision_resnet18``, from the text of its files."""
    found: list[str] = []
    torchvision = find_spec("torchvision")
    for folder in (torchvision and torchvision.submodule_search_locations) or ():
        for path in sorted(Path(folder, "models").glob("*.py")):
            found += _REGISTERED.findall(path.read_text(encoding="utf-8"))
    return tuple(f"torchvision_{name}" for name in found)


def network_names_like(name: str, most: int = 3) -> list[str]:
    """At most so many names of networks that are spelled like ``name``, the nearest first."""
    known = [*own_networks(), *timm_networks(), *torchvision_networks()]
    return difflib.get_close_matches(name.partition(".")[0], known, n=most, cutoff=0.5)


def check_network_name(name: str) -> None:
    """See that a network has this name, with or without the tag of its weights; ``BadInput``: none has; the nearest."""
    plain = name.partition(".")[0]
    if plain in own_networks() or plain in torchvision_networks():
        return
    timm = sys.modules.get("timm")
    if timm is not None:  # where it is loaded, it may have been given networks by others
        known = timm.is_model(name)
    else:
        known = plain in timm_networks() or not timm_networks()
    if not known:
        near = network_names_like(name)
        said = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise BadInput(f"unknown architecture {name!r}.{said}")
