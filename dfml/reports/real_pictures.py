"""The real images that a teacher was trained on, and those of the same classes that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from dfml.core.errors import BadInput
from dfml.core.names import find_name
from dfml.core.paths import read_json
from dfml.data.folders import ClassSplit, load_split
from dfml.zoo.build.pretrain import split_class
from dfml.zoo.teacher import DETAILS, TeacherCard, match_channels, match_size
from dfml.zoo.zoo import Zoo

CHUNK = 256
FEWEST_HELD_OUT = 10
MOST_ASKED = 1000


class RealPictures:
    """The real images of a teacher's classes, as it saw them: positions ``training`` [n] and ``held_out`` [m].

    ``asked`` are those held-out ones that play the part of recovered images, positions in ``held_out``.
    """

    def __init__(
        self, data: ClassSplit, training: np.ndarray, held_out: np.ndarray, card: TeacherCard, device: torch.device
    ) -> None:
        self.data, self.training, self.held_out, self.device = data, training, held_out, device
        self.shape, count = card.input_size, min(len(held_out), MOST_ASKED)
        self.asked = np.linspace(0, len(held_out) - 1, count).round().astype(np.int64)

    def fitted(self, x: torch.Tensor) -> torch.Tensor:
        """Images [N, C, H, W] in the teacher's channels and size."""
        return match_size(match_channels(x, self.shape[0]), self.shape[1:])

    def at(self, positions: np.ndarray | list[int]) -> torch.Tensor:
        """The images at positions of the data set."""
        return self.fitted(self.data.pictures(positions).to(self.device))

    def chunks(self, positions: np.ndarray, embed: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[torch.Tensor]:
        """Their vectors, some at a time; ``embed`` maps images to vectors [n, D]."""
        for start in range(0, len(positions), CHUNK):
            yield embed(self.at(positions[start : start + CHUNK]))


def real_pictures(
    zoo: Zoo, which: str | int, source: str | Path, *, held_out: float | None = None, device: torch.device | str = "cpu"
) -> RealPictures:
    """Find the real images of a teacher (id or position); only its card is read.

    ``source`` is the class-folder data set whose ``train`` split it was trained on; ``held_out`` the share of each
    class's images, the last ones, that it was not trained on, in (0, 1), by default what its training recorded.

    Raises:
        BadInput: The teacher names no classes or does not record how it was trained; the data set lacks its classes,
            is an embedded sample, or has too few images.
    """
    card = zoo.card(which)
    share = _held_out_share(zoo.folder / card.id) if held_out is None else held_out
    if share is None:
        raise BadInput(
            f"teacher {card.id!r} does not record which pictures it was trained on (`zoo pretrain` writes that): "
            "give the held-out share of each class's pictures."
        )
    if not 0 < share < 1:
        raise BadInput(f"the held-out share must be between 0 and 1, received {share}.")
    data = _find(card, source)
    classes = dict.fromkeys(find_name(name, data.class_names) for name in card.classes)
    parts = [split_class(data.members[c], share) for c in classes]
    training, held = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    if len(held) < FEWEST_HELD_OUT:
        raise BadInput(
            f"{len(held)} held-out pictures of teacher {card.id!r}'s classes in {data.name}; a comparison needs "
            f"at least {FEWEST_HELD_OUT}."
        )
    return RealPictures(data, training, held, card, torch.device(device))


def _held_out_share(folder: Path) -> float | None:
    details = read_json(folder / DETAILS, "card") if (folder / DETAILS).is_file() else {}
    recipe = details.get("pretraining") if isinstance(details, dict) else None
    share = recipe.get("held_out") if isinstance(recipe, dict) else None
    return share if isinstance(share, float) else None


def _find(card: TeacherCard, source: str | Path) -> ClassSplit:
    if str(source).startswith("sample:"):
        raise BadInput(
            f"{source} is a sample of other classes: give the data set that teacher {card.id!r} learnt from."
        )
    channels, height, width = card.input_size
    data = load_split(source, "train", size=max(height, width), channels=channels)
    if not card.classes:
        raise BadInput(f"teacher {card.id!r} names no classes: its training pictures cannot be found in {data.name}.")
    missing = [name for name in card.classes if find_name(name, data.class_names) is None]
    if missing:
        raise BadInput(
            f"{data.name}/train lacks {len(missing)} of teacher {card.id!r}'s classes, such as {missing[0]!r}: "
            "give the data set that it was trained on."
        )
    return data
