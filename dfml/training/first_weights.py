"""First weights out of an earlier training: what can be started from, and what the new model inherits of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfml.core.config import Config, Record, Text
from dfml.core.errors import BadInput
from dfml.core.events import Event, Note
from dfml.core.model_config import read_config
from dfml.meta.stored import read_model_card
from dfml.zoo.listing import DETAILS

if TYPE_CHECKING:
    from dfml.meta.model import MetaModel


STARTED = "start"
"""Kind of the note that tells it."""


class EarlierStart(Record):
    """What a start's card tells of its own start."""

    methods: list[Text | None] = []


class StartCard(Record):
    """A start's card, what the new model inherits of it."""

    run: Text | None = None
    method: Text | None = None
    zoo: Text | None = None
    sha256: Text | None = None
    start: EarlierStart | None = None
    side_information: list[Text] | None = None


def check_fits(folder: Path, config: Config, shape: tuple[int, int, int]) -> None:
    """See from its card alone that the meta-model in ``folder`` is one that a config makes for images of this shape.

    ``shape`` is channels, height and width.

    Raises:
        BadInput: It has another architecture, width or image size, or its card is damaged.
    """
    _card_of(folder)
    found = read_config(folder)
    args = found["model_args"]
    own = found["architecture"], args.get("width"), (args.get("in_chans", 3), args.get("img_size"))
    architecture = getattr(config, "architecture", None)
    sized = architecture is not None and architecture.startswith("fewshot_")
    wanted = architecture, getattr(config, "width", None) if sized else None, (shape[0], shape[1])
    if own != wanted:
        raise BadInput(f"the start is {_words(*own)}, this training makes {_words(*wanted)}: they must be the same.")


def start_from_model(folder: Path, model: MetaModel) -> Iterator[Event]:
    """Give a new meta-model the weights and the normalisation of the one in ``folder``.

    The last layer is copied where both have as many outputs. What the start had seen stands in
    ``details["start"]["side_information"]``, from where it gets into the new model's own.

    Raises:
        BadInput: The folder holds no meta-model of one network, or one of another shape, or its card is damaged.
    """
    from dfml.meta.fusion import fits, load_backbone
    from dfml.meta.model import MetaModel

    start = MetaModel.load(folder)
    start.require_one_network("a training cannot start from it")
    if not fits(start.net, model.net) or start.input_size != model.input_size:
        own, wanted = (
            _words(m.architecture, m.model_args.get("width"), (m.input_size[0], m.input_size[1]))
            for m in (start, model)
        )
        raise BadInput(f"the start is {own}, this training makes {wanted}: they must be the same.")
    same_way = start.way == model.way
    load_backbone(model.net, start.net.state_dict(), head=same_way)
    model.mean, model.std = list(start.mean), list(start.std)
    told = _card_of(folder)  # not the loaded model's details, which leave out the digest of the weights
    earlier, seen = told.get("start") or {}, told.get("side_information") or []
    model.details["start"] = {
        "run": told.get("run"),
        "methods": [*earlier.get("methods", []), told.get("method")],
        "zoo": told.get("zoo"),
        "sha256": told.get("sha256"),
        "side_information": seen,
    }
    head = "" if same_way else f"; its last layer of {start.way} outputs is left behind"
    text = f"starts from the result of {told.get('run') or folder.name} ({told.get('method')}){head}"
    yield Note(0, f"{text}; that had used: {', '.join(seen) or 'no side information'}", kind=STARTED)


def _card_of(folder: Path) -> dict[str, Any]:
    return StartCard.checked(read_model_card(folder), str(folder / DETAILS))


def _words(architecture: str | None, width: int | None, images: tuple[int | None, int | None]) -> str:
    return f"a {architecture} of width {width} for {images[0]} x {images[1]} x {images[1]} images"
