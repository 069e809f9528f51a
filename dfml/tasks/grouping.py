"""Groups of a zoo's teachers by a similarity matrix, and a map to look at."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dfml.core.errors import BadInput
from dfml.core.model_config import CONFIG

if TYPE_CHECKING:
    import numpy as np

GroupBy = Literal["dissimilar", "similar", "random"]
PROCEDURAL, EMBEDDED, RESNET34 = "procedural", "embedded", "resnet34"
"""Names of probes: two that come with the program, of generated pictures and of real ones; and the published one."""


def need_probe(which: str) -> None:
    """Refuse a probe that is not there, before anything is recovered for it; ``open_probe`` looks at what it is."""
    path = Path(which)
    there = (path.is_file() and path.suffix == ".safetensors") or (path.is_dir() and (path / CONFIG).is_file())
    if which in (PROCEDURAL, EMBEDDED) or there:
        return
    offer = (
        f"set probe to the .safetensors file of torchvision's ResNet-34, to a model folder with {CONFIG}, or to "
        f"{PROCEDURAL}, which comes with the program."
    )
    if which == RESNET34:
        raise BadInput(f"the published probe is ResNet-34 with ImageNet weights, which do not come along: {offer}")
    raise BadInput(f"no probe at {which!r}: {offer}")


def group_teachers(similarity: np.ndarray, groups: int, *, by: GroupBy = "dissimilar", seed: int = 0) -> list[int]:
    """Cut a zoo into groups by spectral clustering; return the number of each teacher's group.

    Args:
        similarity: [N, N] in [0, 1], symmetric.
        groups: How many; fewer where that left groups of one teacher on average, since a teacher alone has no
            other to agree with. They are numbered from 0 in the order in which they first appear.
        by: ``dissimilar`` clusters with the affinity 1 - similarity, so that a group holds teachers that are
            *unlike* each other (TGR); ``similar`` with the similarity itself; ``random`` deals teachers out.
        seed: Draws the starts of k-means, or the deal.
    """
    import numpy as np

    similarity = np.asarray(similarity, dtype=np.float64)
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1]:
        raise BadInput(f"a similarity matrix has as many rows as columns; received {list(similarity.shape)}.")
    count = len(similarity)
    groups = max(1, min(groups, count // 2))
    if groups == 1:
        return [0] * count
    if by == "random":
        found = np.empty(count, dtype=int)
        found[np.random.default_rng(seed).permutation(count)] = np.arange(count) % groups
    else:
        from sklearn.cluster import SpectralClustering

        affinity = similarity if by == "similar" else 1 - similarity
        clustering = SpectralClustering(groups, affinity="precomputed", n_init=30, random_state=seed % 2**32)
        with warnings.catch_warnings():
            # Teachers that are wholly alike make a graph in parts, which it groups all the same.
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            found = clustering.fit_predict(affinity.clip(0))
    _, first, numbers = np.unique(found, return_index=True, return_inverse=True)
    return first.argsort().argsort()[numbers].tolist()


def within_and_between(similarity: np.ndarray, groups: Sequence[int]) -> tuple[float | None, float | None]:
    """Mean similarity of pairs in one group, and of pairs in two; None where there is no such pair."""
    import numpy as np

    numbers = np.asarray(groups)
    pairs = np.triu(np.ones_like(similarity, dtype=bool), 1)
    same = numbers[:, None] == numbers[None]
    found = [np.asarray(similarity)[pairs & kind] for kind in (same, ~same)]
    within, between = (float(values.mean()) if len(values) else None for values in found)
    return within, between


def choose_alike(similarity: np.ndarray, count: int, *, first: int, alike: bool) -> list[int]:
    """Choose teachers one by one, each the most ``alike``, or the least, on average to those chosen before it.

    Of the matrix [N, N] it returns ``count`` positions, at most N, beginning with ``first``.
    """
    import numpy as np

    matrix = np.asarray(similarity, dtype=np.float64)
    if not 1 <= count <= len(matrix):
        raise BadInput(f"cannot choose {count} of {len(matrix)} teachers.")
    chosen = [first]
    while len(chosen) < count:
        nearness = matrix[chosen].mean(0) * (1 if alike else -1)
        nearness[chosen] = -np.inf
        chosen.append(int(nearness.argmax()))
    return chosen


def planar_map(similarity: np.ndarray) -> np.ndarray:
    """Return places [N, 2] whose distances stand for 1 - similarity: classical multidimensional scaling."""
    import numpy as np

    squared = (1 - np.asarray(similarity, dtype=np.float64)) ** 2
    count = len(squared)
    centre = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(-0.5 * centre @ squared @ centre)
    places = np.zeros((count, 2))
    for axis, position in enumerate(np.argsort(values)[::-1][:2]):
        vector = vectors[:, position] * max(values[position], 0.0) ** 0.5
        # The sign is chosen so that the same matrix gives the same map everywhere.
        places[:, axis] = vector * (1 if vector[np.abs(vector).argmax()] >= 0 else -1)
    return places


def plane_fit(similarity: np.ndarray, places: np.ndarray) -> float | None:
    """Correlation, in [-1, 1], of the distances between ``places`` [N, 2] with 1 - similarity [N, N], over all pairs.

    It says how far a map can be believed. None where either does not vary, as with fewer than three teachers.
    """
    import numpy as np

    matrix, spots = np.asarray(similarity, dtype=np.float64), np.asarray(places, dtype=np.float64)
    one, other = np.triu_indices(len(matrix), 1)
    measured, drawn = 1 - matrix[one, other], np.linalg.norm(spots[one] - spots[other], axis=1)
    if len(one) < 2 or measured.std() < 1e-12 or drawn.std() < 1e-12:
        return None
    return float(np.corrcoef(measured, drawn)[0, 1].clip(-1, 1))
