"""A user's own classes, as a program hands them over: the images that are read, and what adapting to them gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import given_path
from dfml.data.class_folders import SupportSet, read_query_folder, read_support_folder
from dfml.data.pictures import open_picture, to_tensor
from dfml.meta.adaptation import Adaptation
from dfml.zoo.teacher import match_channels, match_size

Pictures: TypeAlias = torch.Tensor | np.ndarray | str | Path | Sequence[str | Path]
"""A tensor [N, C, H, W]; an array [N, H, W, C] or [N, H, W]; a folder, a file, or a list of files.

C is 1 or 3; values are uint8, or floating-point numbers in [0, 1].
"""


@dataclass(frozen=True)
class Adapted:
    """What a model that was adapted to a support set says of Q images.

    Attributes:
        classes: Names of the classes.
        names: Of the images: their files' names, or their positions; of a class's ``class/name``.
        probabilities: float32 [Q, classes], in the order of ``names`` and ``classes``.
        problems: What was passed over in folders, one line each.
        details: Probabilities and accuracies after each inner step, notes, the calibration.
    """

    classes: list[str]
    names: list[str] = field(repr=False)
    probabilities: torch.Tensor = field(repr=False)
    problems: list[str]
    details: Adaptation = field(repr=False)

    @property
    def predictions(self) -> list[str]:
        """The likeliest class of each image."""
        return [self.classes[int(best)] for best in self.probabilities.argmax(1)]


def read_support(given: str | Path | Mapping[str, Pictures], *, size: int, channels: int) -> SupportSet:
    """Read ``DIR/<class>/<image>``, or the images of each class by its name; see ``read_pictures``.

    Raises:
        BadInput: Also where there are fewer than two classes, or two of one name.
    """
    if not isinstance(given, Mapping):
        return read_support_folder(given_path(str(given)), size=size, channels=channels)
    if len(given) < 2:
        raise BadInput(f"at least 2 classes are needed to adapt, received {len(given)}.")
    read = {str(name): read_pictures(pictures, size=size, channels=channels) for name, pictures in given.items()}
    if len(read) < len(given):
        raise BadInput(f"two classes have one name: received {', '.join(map(repr, given))}.")
    labels = [torch.full((len(images),), label) for label, (images, _, _) in enumerate(read.values())]
    return SupportSet(
        torch.cat([images for images, _, _ in read.values()]), torch.cat(labels), list(read),
        [f"{name}/{file}" for name, (_, files, _) in read.items() for file in files],
        [problem for _, _, problems in read.values() for problem in problems],
    )  # fmt: skip


def read_pictures(given: Pictures, *, size: int, channels: int) -> tuple[torch.Tensor, list[str], list[str]]:
    """Crop images to squares around their centre and resize them; uint8 exactly as files, and those as a folder's.

    Args:
        given: See ``Pictures``; of a folder those that can be read.
        size: Height and width of the result.
        channels: Of the result, 1 or 3.

    Returns:
        float32 [N, channels, size, size] in [0, 1]; for each the name of its file, or its position; and one line for
        each thing in a folder that was passed over.

    Raises:
        BadInput: Another shape, type or range; no image at all; a file, not of a folder, that cannot be read.
    """
    if isinstance(given, torch.Tensor):
        pictures = _checked(given.detach().cpu(), at=1, layout="a tensor [N, C, H, W]")
    elif isinstance(given, np.ndarray):
        array = given[..., None] if given.ndim == 3 else given
        pictures = _checked(array, at=-1, layout="an array [N, H, W, C] or [N, H, W]").permute(0, 3, 1, 2)
    else:
        paths = [given_path(str(path)) for path in ([given] if isinstance(given, str | Path) else given)]
        if isinstance(given, str | Path) and paths[0].is_dir():
            return read_query_folder(paths[0], size=size, channels=channels)
        if not paths:
            raise BadInput("no image was given: the list is empty.")
        squares = [to_tensor(open_picture(path), size=size, channels=channels) for path in paths]
        return torch.stack(squares), [path.name for path in paths], []
    names = [str(number) for number in range(len(pictures))]
    if pictures.dtype == torch.uint8:
        whole = [Image.fromarray(each.permute(1, 2, 0).squeeze(-1).numpy()) for each in pictures]
        return torch.stack([to_tensor(each, size=size, channels=channels) for each in whole]), names, []
    height, width = pictures.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pictures[..., top : top + side, left : left + side].float()
    return match_size(match_channels(square, channels), (size, size)), names, []


def _checked(given: torch.Tensor | np.ndarray, *, at: int, layout: str) -> torch.Tensor:
    """Return images as a tensor in the layout that they have, whose channels stand at axis ``at``."""
    shape = tuple(given.shape)
    if len(shape) != 4 or shape[at] not in (1, 3) or 0 in shape:
        raise BadInput(f"images are {layout} with 1 or 3 channels; received shape {shape}.")
    floating = given.is_floating_point() if isinstance(given, torch.Tensor) else given.dtype.kind == "f"
    if not floating and given.dtype not in (torch.uint8, np.uint8):
        raise BadInput(f"images are uint8 or floating-point numbers in [0, 1]; received {given.dtype}.")
    tensor = torch.from_numpy(np.ascontiguousarray(given)) if isinstance(given, np.ndarray) else given
    # Also where a value is not a number: no comparison with it holds.
    if floating and not (float(tensor.min()) >= 0 and float(tensor.max()) <= 1):
        low, high = float(tensor.min()), float(tensor.max())
        raise BadInput(f"floating-point images lie in [0, 1]; received {low:g} to {high:g}: scale them, or give uint8.")
    return tensor
