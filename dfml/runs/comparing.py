"""How alike a zoo's teachers are, compared in a process of its own for whoever looks at the zoo, and kept.

What is kept is found again by the weights and configs: a copy of the zoo has the same map. The side that asks needs no
torch.
"""

from __future__ import annotations

import hashlib
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from dfml.core.config import Number, Record
from dfml.core.errors import BadInput, DfmlError, RunFailed
from dfml.core.model_config import CONFIG
from dfml.core.paths import cache_root, read_json, write_json
from dfml.runs.processes import JobProcesses, serve
from dfml.zoo.listing import HASHED_BYTES, TeacherRow, ZooListing, weight_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dfml.core.events import Event

COMMAND = [sys.executable, "-m", "dfml.runs.comparing"]
FORMAT = 1
LEAST = 3
"""Teachers that a map needs: with two it is a line."""


class TeacherMap(Record):
    """Teachers as points: the nearer two are, the more alike.

    ``fit`` is the correlation of all distances on the map with those that were measured, in [-1, 1].
    """

    ids: list[str]
    places: list[tuple[Number, Number]]
    fit: Number | None = Field(None, ge=-1, le=1)


def comparable(zoo: ZooListing) -> list[TeacherRow]:
    """Return the teachers that can be compared: those behind no server that give more than answers."""
    return [] if zoo.address else [row for row in zoo.teachers if row.access != "queries"]


def map_file(zoo: ZooListing) -> Path:
    """Return where the map of a zoo with these weights and configs is kept; reads no weights."""
    digest = hashlib.sha256(f"{FORMAT}".encode())
    for row in comparable(zoo):
        file = weight_file(zoo.folder / row.id)
        # Listing a zoo compares the digests of small files alone with what their cards say.
        known = row.sha256 if row.size <= HASHED_BYTES else None
        digest.update(repr((row.id, row.size, known or file.stat().st_mtime_ns)).encode())
        digest.update((zoo.folder / row.id / CONFIG).read_bytes())  # another normalisation is another teacher
    return cache_root() / "teacher-maps" / f"{digest.hexdigest()[:24]}.json"


def read_map(path: Path) -> TeacherMap | None:
    """Return a kept map; None where there is none, or it is damaged: it is only a cache."""
    if not path.is_file():
        return None
    try:
        found = TeacherMap(**TeacherMap.checked(read_json(path, "map"), path.name))
    except BadInput:
        return None
    return found if len(found.ids) == len(found.places) else None


def compare(reference: str, path: Path, processes: JobProcesses) -> None:
    """Compare the teachers of a zoo in a process of its own, and keep their map at ``path``.

    What it recovered stays in the cache, so that stopping it loses little. While it works, the process says
    ``DONE TOTAL WORDS``.

    Raises:
        BadInput: The zoo cannot be opened, or too few teachers can be compared.
        RunFailed: The process died.
        StopRequested: It was stopped before it began.
    """
    answer = processes.do("comparing", [*COMMAND, str(path)], reference)
    if not isinstance(answer, dict) or answer.get("error"):
        raise RunFailed(str(answer["error"]) if isinstance(answer, dict) else "the teachers could not be compared.")


def _answer(reference: str, tell: Callable[[str], None], *, path: Path) -> dict[str, Any]:
    try:
        write_json(path, _compared(reference.strip(), tell).model_dump(mode="json"))
    except DfmlError as error:
        return {"error": str(error)}
    return {"error": ""}


def _compared(reference: str, tell: Callable[[str], None]) -> TeacherMap:
    from dfml.core.events import Done
    from dfml.methods.tgr import Tgr, TgrConfig
    from dfml.nets.device import pick_device
    from dfml.runs.spec import default_threads
    from dfml.tasks.grouping import plane_fit
    from dfml.training.recovered import compare_zoo
    from dfml.training.taking_part import everyone
    from dfml.training.used_classes import as_used
    from dfml.zoo import open_zoo

    class Compared(TgrConfig):
        """TGR's demo, whose recoveries are kept for it; who only answers queries would take ten times as long."""

        white_box: ClassVar[bool] = True

    config = Compared.parse(Tgr.preset("demo").model_dump())
    zoo = as_used(open_zoo(reference), config, 0)
    if len(zoo.cards) < LEAST or all(card.access == "queries" for card in zoo.cards):
        raise BadInput(f"a map needs {LEAST} teachers that give gradients.")
    device, _ = pick_device("auto")
    jobs = default_threads() if device.type == "cpu" else 1
    for event in compare_zoo(zoo, config, everyone(zoo), device=device, jobs=jobs):
        _tell(event, tell)
        if isinstance(event, Done):
            found = event.result[0]
            places = [(float(x), float(y)) for x, y in found.places]
            return TeacherMap(ids=list(found.ids), places=places, fit=plane_fit(found.similarity, found.places))
    raise RunFailed("the teachers could not be compared.")


def _tell(event: Event, tell: Callable[[str], None]) -> None:
    from dfml.core.events import Progress

    if isinstance(event, Progress):
        tell(f"{event.step} {event.total} {event.text}")


def main(words: Sequence[str]) -> None:
    """Be the process; the one word is the file to write."""
    serve(partial(_answer, path=Path(words[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
