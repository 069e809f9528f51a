"""Generated pictures: classes of coloured waves with shapes on them, which no real picture and no name is part of.

A class is a recipe drawn from its number: two grounds (a few waves between two colours) and a kind of shape. A picture
of it has the recipe's waves and shapes somewhere, a little larger, turned, and in other light.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dfml.core.errors import RunFailed
from dfml.core.paths import claim_folder
from dfml.core.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np

WAVES, SHAPES = 3, 3
"""Waves of a ground; most shapes in a picture."""
NOISE, LIGHT, TURN, STRETCH = 0.03, 0.25, 0.3, 0.15
"""How pictures of a class differ: noise of a pixel, slope of the light, radians, share of a length."""


def textures(number: int, count: int, size: int, *, seed: int = 0) -> np.ndarray:
    """``count`` pictures of class ``number``: uint8 [count, size, size, 3]."""
    import numpy as np

    recipe = np.random.default_rng(derive_seed(seed, "texture", number))
    draws = np.random.default_rng(derive_seed(seed, "texture", number, "pictures"))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    pictures = _ground(recipe, draws, x, y, count)
    inner = _ground(recipe, draws, x, y, count)
    # Superellipses: of power .7 a star, 1 a diamond, 2 a disc, 6 a box; some with a hole.
    power, hole = recipe.choice([0.7, 1.0, 2.0, 6.0]), recipe.choice([0.0, 0.5])
    turn, wide, high = recipe.uniform(0, np.pi), recipe.uniform(0.2, 0.8), recipe.uniform(0.2, 0.8)
    for _ in range(recipe.integers(1, SHAPES + 1)):
        angle = turn + draws.normal(0, TURN, (count, 1, 1))
        left, top = draws.uniform(-0.6, 0.6, (2, count, 1, 1))
        scale = np.exp(draws.normal(0, STRETCH, (count, 1, 1)))
        along = ((x - left) * np.cos(angle) + (y - top) * np.sin(angle)) / (wide * scale)
        across = ((y - top) * np.cos(angle) - (x - left) * np.sin(angle)) / (high * scale)
        reach = np.abs(along) ** power + np.abs(across) ** power
        pictures = np.where(((reach < 1) & (reach >= hole**power))[..., None], inner, pictures)
    slope = draws.uniform(-LIGHT, LIGHT, (2, count, 1, 1))
    pictures = pictures * (1 + slope[0] * x + slope[1] * y)[..., None] + draws.normal(0, NOISE, pictures.shape)
    return (pictures.clip(0, 1) * 255).round().astype(np.uint8)


def _ground(recipe: np.random.Generator, draws: np.random.Generator, x: np.ndarray, y: np.ndarray, count: int):  # noqa: ANN202
    """Waves between two colours, [count, H, W, 3]; ``recipe`` draws what a class shares."""
    import numpy as np

    field = np.zeros((count, *x.shape))
    for _ in range(WAVES):
        angle = recipe.uniform(0, np.pi) + draws.normal(0, TURN, (count, 1, 1))
        length = np.exp(recipe.uniform(0, 3) + draws.normal(0, STRETCH, (count, 1, 1)))
        phase = draws.uniform(0, 2 * np.pi, (count, 1, 1))
        field += np.sin(length * (x * np.cos(angle) + y * np.sin(angle)) + phase) / WAVES
    share = 1 / (1 + np.exp(-recipe.choice([2.0, 20.0]) * field))[..., None]
    one, other = recipe.uniform(0, 1, (2, 1, 1, 1, 3)) + draws.normal(0, 0.1, (2, count, 1, 1, 3))
    return share * one + (1 - share) * other


def write_textures(out: Path, *, classes: int, per_class: int, size: int, seed: int = 0) -> None:
    """Write ``OUT/train/<class>/<number>.png``, a data set as of ``load_split``.

    Raises:
        BadInput: The folder has something in it.
        RunFailed: The disk is full.
    """
    from PIL import Image

    claim_folder(out, own=lambda folder: False)
    try:
        for number in range(classes):
            folder = out / "train" / f"texture-{number:03d}"
            folder.mkdir(parents=True)
            for position, picture in enumerate(textures(number, per_class, size, seed=seed)):
                Image.fromarray(picture).save(folder / f"{position:04d}.png")
    except OSError as error:
        raise RunFailed(f"{out} cannot be written: {error.strerror or error}.") from None
