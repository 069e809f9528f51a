"""What the folder of a meta-model says of itself, read and written without torch."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.known_networks import check_network_name
from dfml.core.model_config import CONFIG, read_config, tensor_shapes
from dfml.core.paths import ASSETS, given_path, read_json
from dfml.core.remedies import PROGRAM, PROGRAMS, install
from dfml.core.texts import printable
from dfml.meta.choices import LearnerConfig
from dfml.zoo.listing import DETAILS, WEIGHTS

NETWORK, ENSEMBLE = "meta-model", "ensemble"
KINDS = {NETWORK: "dfml.meta.model", ENSEMBLE: "dfml.meta.ensemble"}
"""The kinds of folders, and the file with the class that opens each."""
README = "README.md"
STATISTICS = "statistics.safetensors"
"""Batch statistics of the support set, of a model that was adapted to one."""
ADAPTED = "adapted"
"""Key of a card that tells what a saved model was adapted to: ``classes``, ``how``, ``steps``, ``bn``, ``support``."""
NOT_ONE = "an ensemble of teachers is not one model and has no weights of its own"


class Adapting(Config):
    """The part of a stored card that decides how the model adapts."""

    learner: str = Field(description="Registered name of the learner.")
    learner_config: LearnerConfig = Field(description="Its learning rate and steps.")
    adapt_steps: int = Field(10, ge=1, le=200, description="Inner steps at test.")


def model_folder(given: Path | str) -> Path:
    """Return the folder of a meta-model: a path, or the name of one that ships (``purer``), where no such path exists.

    It need not hold a model. ``BadInput``: see ``given_path``.
    """
    folder = given_path(given)
    shipped = ASSETS / "models" / folder.name
    return shipped if str(given) == folder.name and not folder.exists() and shipped.is_dir() else folder


def read_model_card(folder: Path) -> dict[str, Any]:
    """Read a meta-model's card, whose ``kind`` is one of ``KINDS``.

    ``BadInput``: the folder is missing, holds no meta-model, or its card is damaged.
    """
    folder = model_folder(folder)
    if not folder.is_dir():
        names = ", ".join(sorted(path.name for path in (ASSETS / "models").glob("*") if path.is_dir()))
        known = f", or one of those that ship: {names}" if names else ""
        raise BadInput(f"no model at {folder}: give the folder of a meta-model, such as RUN/model{known}.")
    card = read_json(folder / DETAILS, f"model {folder.name}")
    kind = card.get("kind", "teacher") if isinstance(card, dict) else "unknown"
    if kind not in KINDS:
        raise BadInput(f"{folder} holds no meta-model (its kind is {kind!r}); train one first.")
    return card


def read_network(folder: Path, card: dict[str, Any]) -> tuple[dict[str, Any], Adapting]:
    """Return a network's config (see ``read_config``) and how it adapts; ``card`` is what ``read_model_card`` returned.

    ``BadInput``: one of them is damaged, leaves something out, or holds a value out of range.
    """
    config = read_config(folder)
    check_network_name(config["architecture"])
    how = Adapting.parse({k: card[k] for k in Adapting.model_fields if k in card}, what=f"{DETAILS} field")
    if "img_size" not in config["model_args"]:
        raise BadInput(f"{folder / CONFIG} states no 'img_size' in 'model_args', and none is assumed.")
    channels, cfg = config["model_args"].get("in_chans", 3), config["pretrained_cfg"]
    for name, least in (("mean", -1e6), ("std", 1e-6)):
        values = cfg.get(name)
        numbers = isinstance(values, list) and all(isinstance(v, int | float) and least <= v <= 1e6 for v in values)
        if not numbers or len(values) not in (1, channels):
            raise BadInput(f"{folder / CONFIG}: {name} {values!r}, expected {channels} numbers.")
    return config, how


def check_model(folder: Path) -> dict[str, Any]:
    """Return the card of a meta-model after looking at all of its folder but the weights' values.

    ``BadInput``: the folder is missing or holds no meta-model, or one of its files is damaged or cut off.
    """
    folder = model_folder(folder)
    card = read_model_card(folder)
    if card["kind"] == NETWORK:
        read_network(folder, card)
        for file in (WEIGHTS, *([STATISTICS] if (folder / STATISTICS).exists() else [])):
            tensor_shapes(folder / file, f"model {folder.name!r}")
    return card


def refuse_ensemble(purpose: str) -> NoReturn:
    """Refuse an ensemble of teachers where one network is needed; ``purpose`` says for what."""
    raise BadInput(f"{NOT_ONE}: {purpose}. Take a model of another method.")


def require_onnx() -> None:
    """Raise ``BadInput`` where the optional packages for ONNX are not installed; nothing of them is imported."""
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise BadInput(f"ONNX export needs two optional packages: {install('onnx')}")


def how_to_load(program: str = PROGRAM) -> list[str]:
    """Lines of a README on what to do with a model's folder; ``program``: as which the command line is called."""
    return [
        "Load it with `dfml.meta.MetaModel.load(FOLDER)`;",
        f"adapt it with `{program} adapt --model FOLDER --support DIR`.",
    ]


def is_untouched_model(folder: Path) -> bool:
    """Whether a folder holds a saved meta-model and nothing else, its README as it was written."""
    try:
        card = read_json(folder / DETAILS, "the model's card")
        readme = (folder / README).read_text(encoding="utf-8")
        known = {path.name for path in folder.iterdir()} - {STATISTICS} == {CONFIG, WEIGHTS, DETAILS, README}
        return known and card["kind"] == NETWORK and readme in [model_card(card, program) for program in PROGRAMS]
    except (BadInput, OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def model_card(card: dict[str, Any], program: str = PROGRAM) -> str:
    """A README for the model's folder, in Markdown; for ``program`` see ``how_to_load``."""
    head = ["---", "library_name: timm", "tags: [few-shot, meta-learning, data-free]", "---", ""]
    return "\n".join([*head, *card_lines(card), "", *how_to_load(program), ""])


def card_lines(card: dict[str, Any]) -> list[str]:
    """Title and facts of a model, lines of Markdown; names in the card may be anybody's."""
    side = ", ".join(card.get("side_information") or []) or "none"
    started = ", then ".join(map(str, (card.get("start") or {}).get("methods") or []))
    # Names from outside as one line of Markdown: no link, image, HTML or end of a piece of code.
    method, zoo, side, started = (
        re.sub(r"[\[<`]", lambda sign: f"\\{sign[0]}", printable(str(text)))
        for text in (card.get("method", "unknown"), card.get("zoo", "unknown"), side, started)
    )
    classes = (card.get(ADAPTED) or {}).get("classes") or []
    to = re.sub(r"[\[<`]", lambda sign: f"\\{sign[0]}", ", ".join(printable(str(name)) for name in classes))
    told, lr = card.get("taking_part"), card["learner_config"]["inner_lr"]
    teachers = f", {told['taking_part']} of {told['of']} teachers took part" if told else ""
    return [
        f"# Meta-model trained with `{method}`", "",
        f"- zoo: {zoo}{teachers}",
        *([f"- started from the result of another run ({started})"] if started else []),
        *([f"- adapted to {len(classes)} classes, an output each: {to}"] if classes else []),
        f"- learner: {card['learner']}, {card['adapt_steps']} inner steps, learning rate {lr}",
        f"- side information used: {side}",
    ]  # fmt: skip
