"""What may go wrong with a zoo's teachers, seen before a method runs: by their answers, and by real images if given."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput, RunFailed
from dfml.core.names import find_name, same
from dfml.core.paths import read_json
from dfml.data.folders import ClassSplit, load_split
from dfml.data.splits import split_class
from dfml.zoo.kept_checks import CheckedTeacher, KeptCheck, keep_check
from dfml.zoo.listing import DETAILS
from dfml.zoo.zoo import Zoo

Ask = Callable[[torch.Tensor], torch.Tensor]
"""Maps images [N, C, H, W] in [0, 1] to logits [N, way]."""
PROBES, SIDE = 24, 32
"""Images that each teacher is shown, and their height and width, before it resizes them."""
ALIKE = 1e-3
"""Answers (probabilities) that differ by no more from image to image are the same."""
SURE = 0.99
"""Mean probability of the likeliest class on noise, above which its owner is told."""
HELD_OUT = 0.2
"""The last share of each class's images, on which accuracy is measured, where nobody says what was held out."""
ROOM = 0.05
"""By which accuracy may differ from what is claimed, beside three standard errors."""


def probe_images(seed: int = 0) -> torch.Tensor:
    """Noise of three scales, uniform grey, and gradients, float32 [PROBES, 3, SIDE, SIDE] in [0, 1]."""
    generator, each = torch.Generator().manual_seed(seed), PROBES // 4
    parts = []
    for scale in (1, 4, 16):
        small = torch.rand(each, 3, SIDE // scale, SIDE // scale, generator=generator)
        parts.append(F.interpolate(small, size=(SIDE, SIDE), mode="nearest"))
    parts.append(torch.linspace(0, 1, each).view(-1, 1, 1, 1).expand(-1, 3, SIDE, SIDE))
    return torch.cat(parts)


def check_zoo(
    zoo: Zoo,
    data: Path | None = None,
    told: Callable[[int, int, CheckedTeacher], object] = lambda done, total, one: None,
) -> dict[str, Any]:
    """Check a folder's zoo, keep what was found for this computer, and return it for JSON.

    Args:
        zoo: What is checked, see ``check_teachers``.
        data: Class folders with a split ``train``, on which accuracy is measured.
        told: Called after each teacher with how many are done, how many there are, and what was found of it.

    Raises:
        BadInput: The zoo is a server's, or there is no such data.
    """
    images, total, found = None if data is None else load_split(data, "train"), len(zoo.cards), []
    for one in check_teachers(zoo, images):
        found.append(one)
        told(len(found), total, one)
    check = KeptCheck(
        name=zoo.name,
        usable=len(zoo.cards),
        teachers=zoo.listed,
        problems=zoo.problems,
        wrong={one.id: one.problems for one in found if one.problems},
        rows=found,
    )
    keep_check(zoo.folder, check, str(data or ""))
    return check.told()


@torch.no_grad()
def check_teachers(zoo: Zoo, data: ClassSplit | None = None) -> Iterator[CheckedTeacher]:
    """Check a folder's teachers one by one; those that cannot be loaded move to ``zoo.problems``.

    With ``data``, whose class names they share, accuracy is measured on the last images of each class: those that
    ``zoo pretrain`` held out, or of other teachers ``HELD_OUT`` of all. Nothing is asked of a server, which may want to
    be paid.

    Raises:
        BadInput: The zoo is a server's.
    """
    if zoo.address:
        raise BadInput(f"{zoo.name} is a server's: its teachers are asked for one image each, and nothing is compared.")
    x, met = probe_images(), dict[str, str]()
    for card in list(zoo.cards):
        try:
            teacher = None if card.id in zoo.only_asked else zoo.teacher(card.id)
            ask = zoo.api(card.id).ask if teacher is None else teacher.logits
            logits = ask(x)
        except (BadInput, RunFailed) as error:
            zoo.problems.setdefault(card.id, str(error))
            zoo.cards = [other for other in zoo.cards if other is not card]
            continue
        said = logits.softmax(1)
        noise = said[: PROBES // 4].amax(1)
        shape = "x".join(map(str, card.input_size))
        found = CheckedTeacher(
            id=card.id,
            architecture=card.family,
            input=shape,
            way=card.way,
            confidence=_rounded(float(noise.mean())),
            claimed=card.accuracy,
        )
        if not bool(logits.isfinite().all()):
            found.problems.append("answers with numbers that are not finite")
        elif float((said.amax(0) - said.amin(0)).max()) <= ALIKE:
            found.problems.append("answers every image alike")
        elif bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < ALIKE).all()):
            found.problems.append("answers with probabilities, where logits are expected")
        elif len(set(logits.argmax(1).tolist())) == 1:
            found.remarks.append("names one class for all images that it was shown")
        if float(noise.mean()) > SURE:
            found.remarks.append("is sure of what noise shows")
        if teacher is None:
            found.remarks.append("only answers queries")
        elif not teacher.has_statistics:
            found.remarks.append("has no batch normalisation: the BN term is lost")
        print_of = hashlib.sha256(logits.round(decimals=4).numpy().tobytes()).hexdigest()
        if (twin := met.setdefault(print_of, card.id)) != card.id:
            found.problems.append(f"answers as {twin} does")
        if data is not None:
            _measure(found, ask, card.classes or (), data, _held_out(zoo.folder / card.id))
        yield found


def _held_out(folder: Path) -> float | None:
    """Which share of each class's images ``zoo pretrain`` kept from a teacher; None where another made it."""
    card = read_json(folder / DETAILS, "card") if (folder / DETAILS).is_file() else {}
    recipe = card.get("pretraining") if isinstance(card, dict) else None
    share = recipe.get("held_out") if isinstance(recipe, dict) else None
    return share if isinstance(share, float) and 0 < share < 1 else None


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _measure(found: CheckedTeacher, ask: Ask, classes: Sequence[str], data: ClassSplit, held_out: float | None) -> None:
    known = [same(name) for name in data.class_names]
    places = [find_name(name, known) for name in classes]
    images = {slot: data.members[place] for slot, place in enumerate(places) if place is not None}
    if not images:
        found.remarks.append(f"knows no class of {data.name}")
        return
    right, sure, count = 0, 0.0, 0
    for slot, members in images.items():
        _, held = split_class(members, held_out or HELD_OUT) if len(members) > 1 else (members, members)
        for start in range(0, len(held), 100):
            said = ask(data.pictures(held[start : start + 100])).softmax(1)
            right += int((said.argmax(1) == slot).sum())
            sure += float(said.amax(1).sum())
            count += len(said)
    accuracy = right / count
    found.measured, found.images, found.calibration = round(accuracy, 4), count, _rounded(sure / count - accuracy)
    if held_out is None:
        found.remarks.append(f"measured on images of {data.split}, which it may have learnt")
    if len(images) < found.way:
        found.remarks.append(f"measured on {len(images)} of its {found.way} classes")
    if found.claimed is not None:
        error = (max(accuracy * (1 - accuracy), 1 / count) / count) ** 0.5
        if found.claimed - accuracy > ROOM + 3 * error:
            found.problems.append(f"claims {found.claimed:.1%}, measured {accuracy:.1%} of {count} images")
