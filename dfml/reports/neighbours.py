"""Which of many images is nearest to one, in pixels; for pages, so without torch.

The distance is that of the privacy report: the root mean square difference of values in [0, 1], of the mirrored image
where that is nearer and there are colours (characters have a direction).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHUNK = 1024
"""Images that are compared at a time."""


class Neighbour(NamedTuple):
    """Position in the store, and the distance, 0 (the same) .. 1."""

    position: int
    distance: float


def nearest_picture(picture: np.ndarray, store: np.ndarray, passed_over: int | None = None) -> Neighbour | None:
    """Return the nearest of a store [N, H, W, C] to an image [H, W, C], all uint8; None where there is no other.

    ``passed_over`` is a position in the store that does not count, such as the image's own.
    """
    if picture.shape != store.shape[1:]:
        raise ValueError(f"an image {list(picture.shape)} cannot be compared with a store {list(store.shape)}")
    versions = [picture, picture[:, ::-1]] if picture.shape[-1] > 1 else [picture]
    wanted = [version.reshape(1, -1).astype(np.float32) for version in versions]
    best: Neighbour | None = None
    for start in range(0, len(store), CHUNK):
        chunk = store[start : start + CHUNK].reshape(-1, picture.size).astype(np.float32)
        squares = np.min([np.square(chunk - one).mean(1) for one in wanted], axis=0)
        if passed_over is not None and 0 <= passed_over - start < len(squares):
            squares[passed_over - start] = np.inf
        at = int(squares.argmin())
        if np.isfinite(squares[at]) and (best is None or squares[at] < best.distance):
            best = Neighbour(start + at, float(squares[at]))
    return best and Neighbour(best.position, best.distance**0.5 / 255)
