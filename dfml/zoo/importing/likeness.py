"""Which of some 1,500 architectures a table of tensors may belong to, without building them.

The index keeps 64 bytes of each: a min-wise sketch (Broder, 1997) of the names of its tensors, and of the names with
their shapes. The share of equal bytes estimates how much two tables have in common; what is near is then built and
compared exactly. ``python -m dfml.zoo.importing.likeness`` writes the index anew, for the installed timm.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from dfml.core.errors import BadInput
from dfml.core.paths import ASSETS, write_atomically

INDEX = ASSETS / "architectures.npz"
SKETCH, NAME_BYTES = 64, 8
NEAR = 8
"""Architectures with other names of tensors that are built and compared, where none with the same ones fits."""
LESS_ALIKE = 0.2
"""Of two with the same names of tensors, one that is so much less alike has another width."""


def sketch(shapes: Mapping[str, list[int]]) -> tuple[np.ndarray, bytes]:
    """The sketch, uint8 [SKETCH], of a table of tensors, and a digest of their names; counters are left out."""
    kept = {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
    words = [*kept, *(f"{name} {list(shape)}" for name, shape in kept.items())]
    names = hashlib.blake2b("\n".join(sorted(kept)).encode(), digest_size=NAME_BYTES).digest()
    if not words:
        return np.zeros(SKETCH, np.uint8), names
    size = 4 * SKETCH
    hashed = [hashlib.shake_128(word.encode("utf-8", "replace")).digest(size) for word in words]
    table = np.frombuffer(b"".join(hashed), "<u4").reshape(len(words), SKETCH)
    return (table.min(0) >> 4 & 255).astype(np.uint8), names


@cache
def _index() -> tuple[list[str], np.ndarray, list[bytes]]:
    with np.load(INDEX, allow_pickle=False) as kept:
        names = bytes(kept["names"]).decode().split("\n")
        return names, kept["sketches"], [row.tobytes() for row in kept["digests"]]


def shortlist(shapes: Mapping[str, list[int]]) -> tuple[list[str], list[str]]:
    """Architectures whose tensors have these very names, and others that are alike; the nearest first."""
    names, sketches, digests = _index()
    mine, digest = sketch(shapes)
    alike = (sketches == mine).mean(1)
    order = [int(i) for i in np.argsort(-alike, kind="stable")]
    same = [i for i in order if digests[i] == digest]
    close = [i for i in same if alike[i] > alike[same[0]] - LESS_ALIKE]
    near = [i for i in order if i not in close][:NEAR]
    return [names[i] for i in close], [names[i] for i in near]


def write_index(architectures: Iterable[str]) -> int:
    """Build each architecture without memory for its numbers and write the index; how many there are."""
    from dfml.nets.build import skeleton

    rows = []
    for name in architectures:
        try:
            net = skeleton(name, {})
        except (BadInput, NotImplementedError) as error:
            sys.stderr.write(f"left out: {name}: {error}\n")
            continue
        rows.append((name, *sketch({key: list(value.shape) for key, value in net.state_dict().items()})))
    _save(sorted(rows, key=lambda row: row[0]))
    return len(rows)


def _save(rows: list[tuple[str, np.ndarray, bytes]]) -> None:
    names = np.frombuffer("\n".join(row[0] for row in rows).encode(), np.uint8)
    digests = np.frombuffer(b"".join(row[2] for row in rows), np.uint8).reshape(-1, NAME_BYTES)
    sketches = np.stack([row[1] for row in rows])

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, names=names, sketches=sketches, digests=digests)

    write_atomically(INDEX, write)


def main() -> None:
    """Write the index of all networks that are registered here."""
    import timm

    import dfml.nets  # noqa: F401 - registers networks

    print(write_index(timm.list_models()))


if __name__ == "__main__":
    main()
