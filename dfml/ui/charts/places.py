"""Places of vectors on a plane that stay where they were as far as they can while more of them come."""

from collections.abc import Mapping, Sequence

import numpy as np


def plane(vectors: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Return places [N, 2] of vectors [N, D]: the two main directions of their unit vectors.

    The sign of each direction is fixed by its largest entry, so that equal vectors always get equal places.
    """
    array = np.asarray(vectors, dtype=float)
    if array.ndim != 2 or not len(array):
        return np.zeros((0, 2))
    array = np.nan_to_num(array)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    units = array / np.where(lengths > 0, lengths, 1.0)
    centred = units - units.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    found = centred @ (directions * np.where(largest < 0, -1.0, 1.0)[:, None]).T
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def steady(names: Sequence[str], places: np.ndarray, before: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Turn, mirror and shift places [N, 2] so that those of known ``names`` come closest to where they were.

    This is the orthogonal Procrustes problem; distances stay. With fewer than two known names nothing is moved.
    """
    known = [place for place, name in enumerate(names) if name in before]
    if len(known) < 2:
        return places
    old = np.array([before[names[place]] for place in known])
    new = places[known]
    middle_old, middle_new = old.mean(axis=0), new.mean(axis=0)
    left, _, right = np.linalg.svd((new - middle_new).T @ (old - middle_old))
    return (places - middle_new) @ (left @ right) + middle_old
