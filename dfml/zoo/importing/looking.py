"""Looking at a model before it comes into a zoo: what it says, what its tensors tell, what a person has to state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dfml.core.errors import BadInput
from dfml.zoo.importing.complete import input_of, read_weights, tensors_of
from dfml.zoo.importing.identify import identify, settle
from dfml.zoo.importing.reader import read_source
from dfml.zoo.importing.stating import Stated, Unsaid


@dataclass
class Look:
    """What was found of a source.

    Attributes:
        id: What the teacher will be called, unless a person calls it otherwise.
        network: Its architecture; empty where it is not known yet.
        derived: Whether the network was found by its tensors, and not by a name.
        classes: Number of its classes, or None.
        names: Whether it names them.
        says: What it says of its input, by timm's names.
        asked: What has to be stated, see ``Unsaid``.
        problem: Why it cannot be a teacher, whatever is stated; empty where it can.
    """

    id: str = ""
    network: str = ""
    derived: bool = False
    classes: int | None = None
    names: bool = False
    says: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    problem: str = ""

    def row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def look(source: str | Path, stated: Stated, work: Path) -> Look:
    """Read a source and identify its network; nothing of it is kept. ``work`` is an empty folder."""
    found = Look()
    try:
        _fill(found, source, stated, work)
    except Unsaid as error:
        found.asked |= error.fields
    except BadInput as error:
        found.problem = str(error).replace(f"{work}/", "").rstrip(".") + "."
    return found


def _fill(found: Look, source: str | Path, stated: Stated, work: Path) -> None:
    draft = read_source(source, stated, work)
    found.id, found.classes = draft.id, draft.args.get("num_classes")
    found.names = bool(draft.details.get("classes"))
    cfg, missing = input_of(draft, stated)
    found.says = {key: value for key, value in cfg.items() if key in ("input_size", "mean", "std", "crop_pct")}
    found.asked = {key: {} for key in missing}
    if draft.onnx is not None:
        found.network = draft.architectures[0]
        return
    names, shapes = tensors_of(draft)
    try:
        exact, told = identify(draft, stated, shapes, cfg.get("input_size") or None)
    except Unsaid as error:
        # Of some networks the size of a tensor depends on the input's: it is stated first.
        if "input_size" in missing:
            error.fields = {}
        raise
    found.network, found.derived, found.classes = exact[0].architecture, bool(told), exact[0].args["num_classes"]
    if "input_size" in missing and all(fit.size_known for fit in exact):
        del found.asked["input_size"]
        side = exact[0].args.get("img_size") or list(exact[0].cfg["input_size"])[1:]
        found.says["input_size"] = side if isinstance(side, list) else [side, side]
    size = found.says.get("input_size")
    if size and len(exact) > 1:
        channels = int(exact[0].args.get("in_chans", 3))
        shape = size if len(size) == 3 else [channels, *size]
        settle(exact, read_weights(draft.weights, names, exact[0]), (shape[0], shape[1], shape[2]))
