"""The names of networks, known without importing timm, whose import takes seconds."""

import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dfml.core.errors import BadInput, nearest

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


def check_network_name(name: str) -> None:
    """See that timm knows a network of this name, with or without the tag of its weights; ``BadInput``: it does not."""
    plain = name.partition(".")[0]
    if plain in own_networks():
        return
    timm = sys.modules.get("timm")
    if timm is not None:  # where it is loaded, it may have been given networks by others
        known = timm.is_model(name)
    else:
        known = plain in timm_networks() or not timm_networks()
    if not known:
        raise BadInput(f"unknown architecture {name!r}.{nearest(plain, [*own_networks(), *timm_networks()])}")
