"""What a device may be called, before anybody looks whether it is there."""

import re

from dfml.core.errors import BadInput


def check_device_name(wanted: str) -> None:
    """See that it is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, else ``BadInput``."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", wanted):
        raise BadInput(f"there is no device {wanted!r}: give auto, cpu, cuda, cuda:N (such as cuda:1) or mps.")
