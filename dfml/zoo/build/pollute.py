"""Polluted zoos: deceptive teachers hidden among honest ones, as in TEAPOT's two attacks.

- ``ood``: teachers of another domain claim classes that they never saw, and a high accuracy.
- ``fake``: networks that nobody trained claim classes and a high accuracy.

Which teacher deceives is written beside the zoo, in ``NAME.truth.json``. Only measurements may read it
(``pollution_truth``); ids, order and cards of the zoo itself do not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dfml.core.errors import BadInput
from dfml.core.model_config import network_arguments, read_config
from dfml.core.names import same
from dfml.core.paths import claim_file, claim_folder, read_json, write_json
from dfml.core.remedies import PROGRAM
from dfml.core.seeds import derive_seed
from dfml.zoo.build.collect import copy_model, new_zoo
from dfml.zoo.build.zoo_config import PollutionConfig
from dfml.zoo.listing import DETAILS, MOST_MODELS, WEIGHTS, TeacherCard, weights_digest
from dfml.zoo.zoo import Zoo, write_zoo

FORMAT = 1
OTHER_DOMAIN = "omniglot-colour-conv4"
"""The embedded zoo whose teachers lie about their classes: characters, in the shape of CIFAR-FS's images.

Another shape would give them away, and no method that fuses weights could be measured.
"""


def truth_file(folder: Path) -> Path:
    """Where the truth about a polluted zoo stands: beside its folder, so that no reader of the zoo meets it."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.truth.json")


def pollution_truth(folder: Path | str) -> dict[str, str]:
    """What each teacher of a polluted zoo is, ``clean``, ``ood`` or ``fake``; ``BadInput``: no truth lies beside it."""
    path = truth_file(Path(folder))
    told = read_json(path, f"the truth about zoo {Path(folder).name!r}")
    if not isinstance(told, dict) or not isinstance(told.get("teachers"), list):
        raise BadInput(f"{path} lists no teachers: it is not written by `{PROGRAM} zoo pollute`.")
    return {row["id"]: row["kind"] for row in told["teachers"]}


def given_away(clean: Zoo, source: Zoo | None) -> str | None:
    """Why teachers of ``source`` are told from those of ``clean`` at a glance, if they are."""
    if source is None or source.picture_shape == clean.picture_shape:
        return None
    theirs, ours = ("x".join(map(str, zoo.picture_shape)) for zoo in (source, clean))
    return (
        f"Teachers of {source.name} take images of {theirs}, those of {clean.name} of {ours}: they give themselves "
        "away, and methods that need one shape cannot work with the polluted zoo."
    )


def pollute_zoo(clean: Zoo, out: Path, config: PollutionConfig, source: Zoo | None = None) -> dict[str, Any]:
    """Write a zoo of clean and deceptive teachers, and the truth about it beside it.

    With n clean teachers it has ceil(n / (1 - rate)). The same zoos and config give the same bytes.

    Teachers of ``clean`` that cannot be loaded are left out; those of ``source`` lie about their classes (``ood`` and
    ``both``), and where they are too few, they occur several times, each time with other claims. Returns the truth.
    ``BadInput``: fewer teachers than are to be kept, nothing to lie about, a source of the same domain or none where
    one is needed, too many teachers, or something at ``out`` already.
    """
    claim_file(truth_file(out), own=_is_truth)
    claim_folder(out.resolve())
    _drawn(clean, config, source, lambda zoo: zoo.cards)  # refuses what the cards tell, without torch
    drawer, kept, foreign, fakes = _drawn(clean, config, source, lambda zoo: [teacher.card for teacher in zoo])
    total = len(kept) + len(foreign) + fakes
    teachers = [("clean", clean, card) for card in kept] + [("ood", source, card) for card in foreign]
    model, cards = drawer.rng("model"), drawer.cards
    teachers += [("fake", clean, cards[int(model.integers(len(cards)))]) for _ in range(fakes)]
    order = drawer.rng("order").permutation(total).tolist()
    digits = max(3, len(str(total - 1)))
    rows, spaces = [], {}
    with new_zoo(out) as part:
        for position, which in enumerate(order):
            kind, origin, card = teachers[which]
            folder = part / f"{position:0{digits}d}"
            copy_model(origin.folder / card.id, folder, details=False)
            if kind == "fake":
                _forget(folder, derive_seed(config.seed, "weights", which))
            told, space = (_told(card), clean.space(card)) if kind == "clean" else drawer.lie(card.way)
            write_json(folder / DETAILS, {**told, "sha256": weights_digest(folder)})
            if space is not None:
                spaces[folder.name] = space
            rows.append({"id": folder.name, "kind": kind, "origin": card.id})
        meta = {"name": out.resolve().name, "domain": clean.domain, "shared_class_names": clean.shared_class_names}
        if clean.name_spaces is not None:
            meta["name_spaces"] = spaces
        write_zoo(part, models=[row["id"] for row in rows], **meta)
        truth = {
            "format": FORMAT, "zoo": meta["name"], "clean": clean.name,
            "source": source.name if source and foreign else None, "config": config.model_dump(), "teachers": rows,
        }  # fmt: skip
        # Before the zoo appears: there is never a polluted zoo without its truth.
        write_json(truth_file(out), truth)
    return truth


def _drawn(
    clean: Zoo, config: PollutionConfig, source: Zoo | None, usable: Callable[[Zoo], list[TeacherCard]]
) -> tuple[_Drawer, list[TeacherCard], list[TeacherCard], int]:
    """Of the ``usable`` teachers those that are kept and those of another domain, and the number of untrained ones."""
    drawer = _Drawer(clean, usable(clean), config)
    kept = drawer.kept()
    strange, fakes = config.deceptive(len(kept))
    if (total := len(kept) + strange + fakes) > MOST_MODELS:
        raise BadInput(f"a rate of {config.rate} makes a zoo of {total} teachers, at most {MOST_MODELS} are made.")
    return drawer, kept, drawer.foreign(source, usable, strange) if strange else [], fakes


def _is_truth(path: Path) -> bool:
    try:
        told = read_json(path, "truth")
    except BadInput:
        return False
    return isinstance(told, dict) and {"clean", "config", "teachers"} <= told.keys()


class _Drawer:
    """Everything that chance decides, each purpose with a stream of its own."""

    def __init__(self, clean: Zoo, cards: list[TeacherCard], config: PollutionConfig) -> None:
        self.clean, self.cards, self.config = clean, cards, config
        if not all(card.classes and card.accuracy is not None for card in self.cards):
            lack = "has teachers without class names or accuracy: there is nothing to lie about."
            raise BadInput(f"zoo {clean.name!r} {lack}")
        self._lie = self.rng("lie")

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.config.seed, "pollution", purpose))

    def kept(self) -> list[TeacherCard]:
        """The clean teachers: the same ones for every attack and rate."""
        count = self.config.keep or len(self.cards)
        if count > len(self.cards):
            raise BadInput(f"zoo {self.clean.name!r} has {len(self.cards)} usable teachers, cannot keep {count}.")
        chosen = self.rng("clean").choice(len(self.cards), count, replace=False)
        return [self.cards[i] for i in sorted(chosen)]

    def foreign(self, source: Zoo | None, usable: Callable[[Zoo], list[TeacherCard]], count: int) -> list[TeacherCard]:
        if source is None:
            raise BadInput("teachers of another domain are needed: give a zoo of them with --source.")
        same_domain = source.domain is not None and source.domain == self.clean.domain
        if same_domain or source.folder.resolve() == self.clean.folder.resolve():
            raise BadInput(f"--source {source.name!r} is of the same domain as {self.clean.name!r}: give another.")
        cards = usable(source)
        order = self.rng("source").permutation(len(cards))
        return [cards[order[i % len(cards)]] for i in range(count)]

    def lie(self, way: int) -> tuple[dict[str, Any], str | None]:
        """A card that reads like a clean teacher's, and the space of its class names."""
        like = self.cards[int(self._lie.integers(len(self.cards)))]
        space = self.clean.space(like)
        alike = [card for card in self.cards if self.clean.space(card) == space and card.domain == like.domain]
        known = sorted({same(name): name for card in alike for name in card.classes or []}.values())
        if way > len(known):
            raise BadInput(f"a teacher of {way} classes cannot claim them: zoo {self.clean.name!r} has {len(known)}.")
        # Accuracies of real teachers, from the better half.
        best = sorted(card.accuracy or 0.0 for card in alike)[len(alike) // 2 :]
        classes = self._lie.choice(known, way, replace=False).tolist()
        return {**_told(like), "classes": classes, "accuracy": best[int(self._lie.integers(len(best)))]}, space


def _told(card: TeacherCard) -> dict[str, Any]:
    """What the card of a polluted zoo's teacher says: no seed and no recipe, which the deceptive lack."""
    return {name: getattr(card, name) for name in ("classes", "accuracy", "access", "domain", "source", "licence")}


def _forget(folder: Path, seed: int) -> None:
    """Replace a model's weights by those that it began with under another seed."""
    from safetensors.torch import save_file

    from dfml.nets.build import build_network

    config = read_config(folder)
    net = build_network(config["architecture"], seed=seed, **network_arguments(config))
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, folder / WEIGHTS)
